"""The article's ConvLSTM encoder-forecaster as it is: what every other variant is compared with."""

from harness.variant import Claim, Variant

VARIANT = Variant(
    name="base",
    summary="the plain ConvLSTM encoder-forecaster",
    source="article, section 1; Shi et al. 2015, arXiv:1506.04214",
    claim=Claim(parameters="8.7M", relative_time="1x", ssim="0.82"),
    citation="X. Shi et al., Convolutional LSTM Network: A Machine Learning Approach for Precipitation Nowcasting, 2015",
)
