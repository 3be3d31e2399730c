"""Test-time augmentation: predict from several views of the input, transform back, average."""

from harness.variant import Claim, Variant

VARIANT = Variant(
    name="tta",
    summary="predictions averaged over flipped and rotated views of the input",
    source="article, section 5",
    # Half turns are both flips together: these four views are those that training shows when it augments with flips.
    changes={"inference.views": ("identity", "hflip", "vflip", "rot180")},
    claim=Claim(parameters="same"),
)
