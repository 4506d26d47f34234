"""One training step in torch: forward, cross entropy, backward, SGD with momentum 0.9, f32.

    python train_step.py --net resnet20 --batch 128 --threads 1 --channels-last

The batches are generated beforehand and taken in turn, so that loading data is not part of the step.
"""

import argparse
import sys

import protocol

protocol.limit_threads(protocol.threads_from_argv(sys.argv))

import torch  # noqa: E402

import nets  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", choices=sorted(nets.NETS), required=True)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--sgd", choices=("default", "foreach", "fused"), default="fused",
                        help="which of torch's SGD implementations (default: fused, its fastest on a CPU)")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.set_num_interop_threads(1)
    net, shape, classes = nets.build(args.net)
    net.train()
    batches = [(torch.randn(args.batch, *shape), torch.randint(0, classes, (args.batch,))) for _ in range(8)]
    if args.channels_last and len(shape) == 3:
        net = net.to(memory_format=torch.channels_last)
        batches = [(x.contiguous(memory_format=torch.channels_last), t) for x, t in batches]
    options = {} if args.sgd == "default" else {args.sgd: True}
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9, **options)
    loss_of = torch.nn.CrossEntropyLoss()
    state = {"step": 0, "loss": 0.0}

    def step():
        x, target = batches[state["step"] % len(batches)]
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(net(x), target)
        loss.backward()
        optimizer.step()
        state["step"] += 1
        state["loss"] = loss.detach()

    protocol.serve(step, lambda: {"loss": float(state["loss"]), "version": "torch " + torch.__version__})


main()
