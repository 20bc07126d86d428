"""How fast is a training step? The same work by this code, by stock Keras, by PyTorch and by JAX.

python3 bench/bench_step.py [--batch_size 16] [--rounds 7] [--precision float32] [--json FILE]
python3 bench/bench_step.py --check           losses of this code and of stock Keras, from the same weights
python3 bench/bench_step.py --device gpu [--batch_size 16 64 256] [--precision bfloat16]
python3 bench/bench_step.py --device gpu --profile      what the GPU does in a step, kernel by kernel

One step: batch 16, 16x16 to 64x64, both losses from one forward pass, both gradients, both updates (Adam).
The contenders take turns in every round, so that all see the same machine; medians are to be compared.

On a processor: one process, a step a round. The peak is that of a large matrix multiplication, measured in
the same turns; "of peak" is the step's least arithmetic, counted from the layers, over time and that peak.

On a GPU: a process each, rounds of 100 steps, of which this code does 20 in a compiled call. PyTorch runs as
it is (eager), with the whole step in a CUDA graph, and with its networks compiled inside such a graph; JAX
compiles 20 steps into one scan. float32 convolutions use TF32 in all of them, where the GPU has it. The first
batch size is also timed with --objective, and step by step. GPU MB is the most that the framework's arrays
took.
"""

import argparse
import sys

from srez.system.machine import gpus_of_driver


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch_size", type=int, nargs="+", help="default 16; with --device gpu 16 64 256")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--precision",
        nargs="+",
        choices=("float32", "bfloat16", "float16"),
        help="default float32 and bfloat16; with --device gpu bfloat16",
    )
    parser.add_argument("--check", action="store_true", help="compare losses instead of times (processor)")
    parser.add_argument("--profile", action="store_true", help="name kernels instead of timing (GPU)")
    parser.add_argument("--objective", default="wgangp", help="also timed, beside dcgan")
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    if args.device == "gpu":
        if not gpus_of_driver():
            sys.exit("--device gpu: nvidia-smi lists no GPU")
        args.batch_size, args.precision = args.batch_size or [16, 64, 256], args.precision or ["bfloat16"]
        import gpu_step

        (gpu_step.show_profile if args.profile else gpu_step.measure)(args)
        return
    args.batch_size, args.precision = args.batch_size or [16], args.precision or ["float32", "bfloat16"]
    if len(args.batch_size) > 1 or args.profile:
        parser.error("several --batch_size and --profile are for --device gpu")
    import cpu_step

    cpu_step.measure(args)


if __name__ == "__main__":
    main()
