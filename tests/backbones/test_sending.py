"""What the host remembers of tensors, and what it must forget."""

from __future__ import annotations

from fire_core.backbones.kernels.blocks import blocks_of
from fire_core.backbones.sending import host_of, read, send, send_known


def test_blocks_are_made_once_and_again_when_the_edges_were_written_to() -> None:
    import torch

    edges = torch.tensor([[0, 1, 2, 0], [1, 0, 0, 2]])
    first = blocks_of(edges, 3)
    assert blocks_of(edges, 3) is first
    assert blocks_of(edges, 4) is not first
    before = first.places.clone()
    edges[1] = torch.tensor([0, 0, 0, 1])
    again = blocks_of(edges, 3)
    assert again is not first
    assert not torch.equal(again.places, before)


def test_on_the_cpu_nothing_is_copied() -> None:
    import torch

    tensor = torch.arange(3)
    sent = send_known(tensor, torch.device("cpu"))
    assert sent is tensor
    assert send(tensor, "cpu") is tensor
    assert host_of(sent) is tensor
    assert read(sent) is tensor


def test_of_a_tensor_elsewhere_the_host_knows_what_it_sent() -> None:
    import torch

    meta = torch.device("meta")
    tensor = torch.arange(3)
    sent = send_known(tensor, meta)
    assert host_of(sent) is tensor
    sent.zero_()
    assert host_of(sent) is None
    assert host_of(torch.zeros(3, device=meta)) is None
