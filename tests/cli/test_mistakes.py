"""A request that is wrong gets one clear line and exit code 2, and nothing stored is harmed."""

from pathlib import Path

import pytest
from commands import Command, contents, refused


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--variant atention", "unknown variant 'atention'; did you mean 'attention'? installed: "),
        ("--variant residual+", "name variants joined by '+'"),
        ("--preset tny", "unknown preset 'tny'; did you mean 'tiny'? known: cpu, evening, paper, tiny"),
        ("--set training.max_lrr=1", "did you mean 'training.optimizer.lr'?"),
        ("--set max_lr=1", "did you mean 'training.optimizer.lr'?"),
        ("--set training.optimizer.lrr=1", "'adamw' has no setting 'lrr'; did you mean 'lr'? known: lr, weight_decay"),
        ("--set training.max_lr", "write path=value, such as training.steps=800"),
        ("--set =3", "write path=value"),
        ("--set training.max_lr=fast", "training.optimizer.lr is 'fast'; it must be a number"),
        ("--set training.batch_size=0", "training.batch_size is 0; it must be at least 1"),
        ("--set data.horizon=0", "data.horizon is 0; it must be at least 1"),
        ("--set training.steps=1 --set training.steps=2", "given twice"),
        ("--set training.steps=1 --set training.epochs=2", "both set"),
        ("--set training.epochs=inf", "finite"),
        ("--set training.precision=float16", "float16 needs CUDA"),
        ("--seed 0 --set training.seed=4", "the seed is given twice, as 0 and by --set training.seed=4; give it once"),
        ("--set data.canvas=17", "17x17 pixels; this architecture needs multiples of 4"),
        ("--set data.canvas=8", "at least 11x11"),
        ("--set data.frames=nowhere.npy", "nowhere.npy does not exist"),
        ("--set data.frames=", "data.path is empty; name a file or folder"),
        ("--variant attention --set architecture.widths=4,6", "must be a multiple of 4"),
        ("--seed -1", "training.seed is -1; it must be at least 0"),
        ("--seed one", "'--seed'"),
        ("--config nowhere.toml", "cannot read config nowhere.toml: No such file"),
        ("--plugin nowhere.py", "plugin file nowhere.py does not exist"),
        ("--digits nowhere", "the digits folder nowhere does not exist"),
        ("--device gpu", "unknown device 'gpu'; choose auto, cpu, cuda or cuda:N"),
        ("--device cuda:", "unknown device 'cuda:'"),
        ("--device cpu:1", "unknown device 'cpu:1'"),
        ("--varient base", "No such option"),
        ("base", "unexpected extra argument"),
        ("--preset", "'--preset' requires an argument; see `harness"),
    ],
)
def test_a_wrong_request_gets_one_clear_line_and_exit_code_2(
    harness: Command, unharmed: Path, monkeypatch: pytest.MonkeyPatch, words: str, said: str
) -> None:
    monkeypatch.chdir(unharmed.parent)
    preset = () if "--preset" in words else ("--preset", "tiny")
    before = contents(unharmed)
    refused(harness("run", "--json", "--store", unharmed, *preset, *words.split()), said)
    assert contents(unharmed) == before, "a request that was refused left something behind"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("nosuch", "No such command 'nosuch'; see `harness --help`"),
        (
            "list everything",
            "unknown list 'everything'; choices: components, presets, reports, runs, settings, studies, variants",
        ),
        ("show ffff", "no run with the id 'ffff'"),
        ("show", "Missing argument"),
        ("predict ffff", "no run with the id 'ffff'"),
    ],
)
def test_other_commands_answer_mistakes_alike(harness: Command, unharmed: Path, words: str, said: str) -> None:
    store = ("--store", unharmed) if words != "nosuch" else ()
    refused(harness(*words.split(), *store), said)


def test_conflicting_variants_are_refused_by_name(harness: Command, unharmed: Path, tmp_path: Path) -> None:
    for name in ("early", "late"):
        (tmp_path / f"{name}.py").write_text(
            "from harness.variant import Variant\n"
            f"V = Variant(name={name!r}, summary='s', source='t', changes={{'training.max_lr': 0.1}})\n"
        )
    words = ("run", "--preset", "tiny", "--plugin", tmp_path / "early.py", "--plugin", tmp_path / "late.py")
    answer = harness(*words, "--variant", "late+early", "--store", unharmed, "--json")
    refused(answer, "'early' and 'late' both change 'training.optimizer.lr'")


def test_cuda_without_cuda_is_refused(harness: Command, unharmed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for device in ("cuda", "cuda:1"):
        answer = harness("run", "--preset", "tiny", "--device", device, "--store", unharmed, "--json")
        refused(answer, f"device '{device}' was asked for", "sees no CUDA device; use --device cpu")


def test_a_config_that_is_no_config_is_refused(harness: Command, unharmed: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    for content, said in [
        (b"training = 3", "training is a section; set what is in it: seed, data_order, batch_size"),
        (b"steps = 800", "unknown setting 'steps'; did you mean 'training."),
        (b"[training\n", "is not TOML"),
        (b"\xff\xfe", "is not TOML"),
        (b"[training]\nsteps = 1979-05-27", "training.steps is"),
        (b"[train]\nsteps = 1", "unknown setting 'train.steps'; did you mean 'training.steps'?"),
        (b"[architecture.skip]\ntype = 'os.system'", "architecture.skip is empty, so architecture.skip.type does not exist"),
        (b"[architecture.skip]\nname = 'os.system'", "expected a component's name"),
        (b"#" * (2**20 + 1), "larger than 1 MiB"),
    ]:
        config.write_bytes(content)
        refused(harness("run", "--preset", "tiny", "--config", config, "--store", unharmed, "--json"), said)
    refused(harness("run", "--preset", "tiny", "--config", tmp_path, "--store", unharmed, "--json"), "Is a directory")


DEEP = "attention(heads=" * 20 + "4" + ")" * 20


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("architecture.bottleneck=attention(heads=", "expected a value, found the end"),
        ("architecture.bottleneck=attention(heads", "expected field=value, found the end"),
        ("architecture.bottleneck=attention(heads=4))", "expected the end, found ')'"),
        ("architecture.bottleneck=attention(heads='4)", "a quotation without an end"),
        ("architecture.bottleneck=attention(4)", "expected field=value"),
        ("architecture.bottleneck=(heads=4)", "expected a component's name"),
        ("architecture.bottleneck=attention,attention", "2 components; 1 at most"),
        ("architecture.bottleneck=attention(heads=1, heads=2)", "gives heads twice; give it once"),
        ("architecture.bottleneck=attention(heads=0)", "architecture.bottleneck.heads is 0; it must be at least 1"),
        ("architecture.bottleneck=attention(heds=1)", "'attention' has no setting 'heds'; did you mean 'heads'?"),
        (
            "architecture.bottleneck=attention(heads=attention(heads=4))",
            "a plain setting; it takes a value, not a component",
        ),
        ("architecture.bottleneck=attnetion", "unknown component 'attnetion'; did you mean 'attention'?"),
        ("architecture.bottleneck=adamw", "unknown component 'adamw'; for architecture.bottleneck: attention"),
        ("architecture.bottleneck.heads=4", "architecture.bottleneck is empty"),
        ("architecture.botleneck=attention", "did you mean 'bottleneck'?"),
        ("architecture.bottleneck.inner.deeper=1", "architecture.bottleneck is empty"),
        ("nowhere=attention", "unknown setting 'nowhere'"),
        ("training.optimizer=muon(others=adamw(lr=x))", "training.optimizer.others.lr is 'x'; it must be a number"),
        ("training.optimizer=none", "training.optimizer is empty; choose one"),
        ("training.steps=attention(heads=1)", "training.steps is 'attention(heads=1)'; it must be a whole number"),
        ("loss=mse,mse", "loss names mse twice; name it once"),
        ("loss.nothing=0.5", "unknown component 'nothing'"),
        (f"architecture.bottleneck={DEEP}", "nests components more than 16 deep"),
        (f"architecture.bottleneck={'x' * 10_000}", "a component of 10,000 characters; at most 4,096"),
        (f"training.steps={'9' * 10_000}", "training.steps is '9999"),
        (f"{'x' * 10_000}=1", "is no path of a setting"),
        ("architecture.bottle\nneck=attention", "is no path of a setting"),
        (f"training.steps={'x' * 10_000}", "it must be a whole number"),
        (f"architecture.bottleneck=attention({'x' * 4000}=1)", "expected field=value"),
        (f"architecture.bottleneck={'x' * 4000}", "expected a component's name"),
        ("architecture.bottleneck=__import__('os').mkdir('executed')", "expected"),
        ("architecture.bottleneck=attention(heads=__import__('os').mkdir('executed'))", "expected"),
        ("architecture=os.mkdir(executed)", "expected a component's name"),
        ("training.steps=__import__('os').mkdir('executed')", "it must be a whole number"),
        ("training.freeze=[__import__('os').mkdir('executed')]", "executed"),
    ],
    ids=lambda text: text[:60],
)
def test_bad_components_get_one_line_and_nothing_is_evaluated(
    harness: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = harness("run", "--preset", "tiny", "--json", "--store", tmp_path / "store", "--set", setting)
    refused(answer, said)
    assert len(answer.err.splitlines()) == 1
    assert len(answer.err) < 1000
    assert not (tmp_path / "executed").exists()
    assert not list(tmp_path.rglob("*.json"))


def test_a_plan_refuses_a_seed_beside_its_own(harness: Command, tmp_path: Path) -> None:
    words = ("ablate", "--plan", "base", "--seeds", "2", "--preset", "tiny", "--dry-run", "--store", tmp_path)
    refused(harness(*words, "--set", "training.seed=4"), "the seed is given twice, as 0 and by --set training.seed=4")
