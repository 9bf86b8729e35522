# SPDX-License-Identifier: Apache-2.0
"""The commands ``hqdit-export`` and ``hqdit``. Imports of torch wait until a command needs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hqdit_mobile.cli.exits import EPILOG, exits, when_stopped
from hqdit_mobile.cli.options import PUBLIC_KEYS, SEED, VERBOSE, FiniteRange, Interval, OutputFile, checkpoint_options
from hqdit_mobile.cli.stoppable import Stoppable, StoppableGroup
from hqdit_mobile.diffusion.process import SAMPLERS
from hqdit_mobile.quantize.recipes import RECIPES

# Those that end in -high are --quality high.
RECIPE_NAMES = [name for name in RECIPES if not name.endswith("-high")]
CONTEXT = {"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 110}


@click.command(cls=Stoppable, context_settings=CONTEXT, epilog=EPILOG)
@click.version_option(package_name="hqdit-mobile")
@click.option("-m", "--model", default="builtin:emoji-dit",
              help="builtin:emoji-dit, a DiTPipeline folder, a Hugging Face id, a DiT-*.pt file or, to measure, "
                   "random:DiT-XL/2-256 (also S, B, L; 512).")  # fmt: skip
@checkpoint_options
@click.option("--licence", metavar="TEXT", help="Of the weights, for the bundle's model card.")
@click.option("--target", type=click.Choice(["android", "ios", "desktop"]), default="android",
              help="What the bundle is for.")  # fmt: skip
@click.option("--runtime", type=click.Choice(["executorch", "onnxruntime"]), default="executorch",
              help="What draws with it.")  # fmt: skip
@click.option("-o", "--output-dir", type=click.Path(path_type=Path), help="Default: MODEL-TARGET in this folder.")
@click.option("--recipe", "--precision", "recipe_name", type=click.Choice(RECIPE_NAMES), default="w4a8",
              help="FP4 weights with INT8 (w4a8) or FP4 (w4a4) activations; hq-dit is the paper's.")  # fmt: skip
@click.option("--quality", type=click.Choice(["standard", "high"]), default="standard",
              help="high: learns scales and biases through the whole model; takes longer.")  # fmt: skip
@click.option("--num-calibration-samples", type=click.IntRange(1, 100_000), help="Images in the calibration runs.")
@click.option("--seed", type=SEED, default=0, help="Of calibration and rotation.")
@click.option("--steps", type=click.IntRange(1, 1000), default=15, help="Default sampling steps of the bundle.")
@click.option("--scheduler", type=click.Choice(SAMPLERS),
              help="Default of the bundle; 'hqdit evaluate-samplers' compares. Default: the model's.")  # fmt: skip
@click.option("--guidance-scale", type=FiniteRange(1.0, 1000.0),
              help="Default guidance of the bundle. Default: 4, or 1 for a model without a null class.")  # fmt: skip
@click.option("--guidance-interval", type=Interval(), default=(0.0, 1.0),
              metavar="LOW HIGH", help="Guide at these noise levels (timestep / 1000): the default.")  # fmt: skip
@click.option("--sign", type=click.Path(path_type=Path), metavar="KEY",
              help="Sign the bundle with this private key; 'hqdit sign' makes one.")  # fmt: skip
@click.option("--fast", is_flag=True, help="A first look: a sixteenth of the calibration, one weight format.")
@click.option("--force", is_flag=True, help="Replace an existing bundle.")
@VERBOSE
@exits
def export(model: str, vae: str | None, target: str, output_dir: Path | None, force: bool, **settings: Any) -> None:
    """Quantize a Diffusion Transformer to 4-bit floating point and write a bundle for a phone."""
    from hqdit_mobile.cli.export import after_stop, run_export

    if model.startswith("random:"):
        model_name = model.replace(":", "-").replace("/", "-")
    else:
        model_name = Path(model.removeprefix("builtin:").rstrip("/")).stem
    output = output_dir or Path(f"{model_name}-{target}")
    with when_stopped(lambda: after_stop(output)):
        run_export(model=model, vae=vae, target=target, output=output, force=force, **settings)


@click.group(cls=StoppableGroup, context_settings=CONTEXT, epilog=EPILOG)
@click.version_option(package_name="hqdit-mobile")
def main() -> None:
    """Draw with exported bundles, look into them, time and judge them."""


@main.command(epilog=EPILOG, short_help="Draw one image with a bundle.")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--label", required=True, help='Class: its number, its name, such as "heart fluent-emoji", or a synonym in it.'
)
@click.option("--seed", type=click.IntRange(0, 2**64 - 1), default=0, help="The same seed gives the same picture.")
@click.option("--steps", type=click.IntRange(1, 1000), help="Default: the bundle's.")
@click.option("--guidance-scale", type=FiniteRange(0.0, 1000.0), help="Default: the bundle's.")
@click.option("--guidance-interval", type=Interval(), metavar="LOW HIGH",
              help="Guide where the noise level, timestep / 1000, lies here. Default: the bundle's.")  # fmt: skip
@click.option("--scheduler", type=click.Choice(SAMPLERS), help="Default: the bundle's.")
@click.option("--preview-interval", type=click.IntRange(0), default=0, metavar="N",
              help="Also write OUTPUT-previews.png: the preview after every N-th step and the image.")  # fmt: skip
@click.option("--threads", type=click.IntRange(0), default=0, help="0: one per core.")
@click.option("--memory-limit", type=click.IntRange(1), metavar="MB",
              help="Decode in tiles, or refuse the bundle, if it needs more (see 'hqdit info').")  # fmt: skip
@PUBLIC_KEYS
@click.option("--portable", is_flag=True, help="An ONNX bundle on a stock ONNX Runtime, without our kernels.")
@click.option("-o", "--output", default="sample.png",
              help="PNG, JPEG or WEBP by its suffix; - writes a PNG to standard output.")  # fmt: skip
@VERBOSE
@exits
def sample(bundle: Path, label: str, seed: int, output: str, **settings: Any) -> None:
    """Draw one image with the engine that runs on the phone, or with ONNX Runtime."""
    from hqdit_mobile.cli.sample import run_sample

    run_sample(bundle, label, seed, output, **settings)


@main.command(epilog=EPILOG)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--labels", is_flag=True, help="List the class names too.")
@PUBLIC_KEYS
@exits
def info(bundle: Path, labels: bool, public_keys: tuple[str, ...]) -> None:
    """Show what a bundle is and needs."""
    from hqdit_mobile.cli.info import run_info

    run_info(bundle, labels, public_keys)


@main.command(epilog=EPILOG)
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@click.option("--key", type=click.Path(path_type=Path), help="Private key (PEM, Ed25519).")
@click.option("--new-key", type=OutputFile(), metavar="FILE", help="Make a private key first. Keep it to yourself.")
@exits
def sign(bundle: Path | None, key: Path | None, new_key: Path | None) -> None:
    """Sign BUNDLE, if there is one, and print the public key that apps and --public-key verify it with."""
    from hqdit_mobile.cli.sign import run_sign

    run_sign(bundle, key, new_key)


@main.command(epilog=EPILOG, short_help="Time a bundle against other runtimes.")
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@click.option("--quick/--full", default=True, help="A selection of shapes in minutes, or all of them.")
@click.option("--threads", type=click.IntRange(0), default=0, help="0: one per core.")
@click.option("--no-amx", is_flag=True, help="Deny AMX, which no phone has, to every runtime.")
@click.option("--steps", type=click.IntRange(1, 1000), default=10, help="Of the whole image.")
@click.option("-m", "--model", help="The bundle's float model, if it is not where the bundle says.")
@checkpoint_options
@click.option("--json", "json_file", type=OutputFile(), help="Write every figure here.")
@click.option("--plot", type=OutputFile(".png"), help="Write a picture (PNG) here.")
@click.option("--markdown", type=OutputFile(), help="Write the tables here.")
@VERBOSE
@exits
def bench(bundle: Path | None, quick: bool, **settings: Any) -> None:
    """Time BUNDLE, and linear layers, against other runtimes on this machine. Without BUNDLE: the layers alone."""
    from hqdit_mobile.cli.bench import run_bench_command

    run_bench_command(bundle, full=not quick, **settings)


@main.command(epilog=EPILOG)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--runtime", type=click.Choice(["executorch", "onnxruntime", "onnxruntime-portable"]),
              help="Default: the bundle's.")  # fmt: skip
@click.option("--against", type=click.Choice(["torch", "executorch", "onnxruntime"]), default="torch",
              help="What it is compared with.")  # fmt: skip
@click.option("--json", "json_file", type=OutputFile(), help="Write every figure here.")
@VERBOSE
@exits
def parity(bundle: Path, runtime: str | None, against: str, json_file: Path | None) -> int:
    """Compare a bundle with another runtime, stage by stage. Exits with 1 if they do not agree."""
    from hqdit_mobile.cli.parity import run_parity

    return run_parity(bundle, runtime, against, json_file)


@main.command(epilog=EPILOG, short_help="Compare images with the float model's.")
@click.argument("candidates", nargs=-1, required=True, metavar="CANDIDATE...")
@click.option("-m", "--model", default="builtin:emoji-dit",
              help="The float model: builtin:emoji-dit, a DiTPipeline folder, a hub id or a DiT-*.pt.")  # fmt: skip
@checkpoint_options
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, is_eager=True,
              help="Folder for images, figures and report.html; a stopped run goes on from it.")  # fmt: skip
@click.option("--samples", type=click.IntRange(2), default=256, help="Images of each candidate.")
@click.option("--steps", type=click.IntRange(1, 1000), default=20, help="Of each image.")
@click.option("--guidance-scale", type=FiniteRange(1.0, 1000.0),
              help="Default: 2.5, or 1 for a model without a null class.")  # fmt: skip
@click.option(
    "--noise-samples", type=click.IntRange(1), default=16, help="Images whose noise predictions are compared."
)
@click.option("--json", "json_file", type=OutputFile(inside="output"), help="Write every figure here too.")
@click.option("--npz", is_flag=True, help="Write images to OUTPUT/NAME.npz as ADM's evaluator reads them.")
@click.option("--fidelity", type=click.Path(path_type=Path, exists=True), metavar="REFERENCE",
              help="FID, IS, precision and recall against this folder of images or .npz (arr_0); needs torch-fidelity, "
                   "which downloads Inception weights.")  # fmt: skip
@VERBOSE
@exits
def evaluate(candidates: tuple[str, ...], **settings: Any) -> None:
    """Compare images of each CANDIDATE with the float model's: a bundle's folder, a recipe (such as w4a8) or float.

    Shares the work between processes started by torchrun or accelerate launch.
    """
    from hqdit_mobile.cli.evaluate import run_evaluate

    with when_stopped(lambda: f"the same command goes on from what is in {settings['output']}"):
        run_evaluate(candidates, **settings)


@main.command(name="evaluate-samplers", epilog=EPILOG, short_help="Compare samplers and numbers of steps.")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("samplers", nargs=-1, required=True, metavar="SAMPLER...")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, is_eager=True,
              help="Folder for images and figures; a stopped run goes on from it.")  # fmt: skip
@click.option("--samples", type=click.IntRange(2), default=256, help="Images of each sampler.")
@click.option("--guidance-scale", type=FiniteRange(0.0, 1000.0), help="Default: the bundle's.")
@click.option("--json", "json_file", type=OutputFile(inside="output"), help="Write every figure here too.")
@click.option("--plot", type=OutputFile(".png", inside="output"), help="Write a picture (PNG) here.")
@VERBOSE
@exits
def evaluate_samplers(bundle: Path, samplers: tuple[str, ...], **settings: Any) -> None:
    """Compare what BUNDLE draws with each SAMPLER, the first one being the measure of the others.

    SAMPLER is SCHEDULER:STEPS[:SPACING][:LOW-HIGH], such as ddim:50 or dpm-solver++:15:trailing:0.1-0.8; guidance is on
    at the noise levels LOW to HIGH, timestep / num_train_timesteps. Shares the work between torchrun's processes.
    """
    from hqdit_mobile.cli.evaluate_samplers import run_evaluate_samplers

    with when_stopped(lambda: f"the same command goes on from what is in {settings['output']}"):
        run_evaluate_samplers(bundle, samplers, **settings)


if __name__ == "__main__":
    main()
