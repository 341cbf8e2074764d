"""Attention among packed texts, each text by itself: three ways that give the same numbers. No weights, no layers.

padded  blocks of (texts, longest), what is over masked: the fastest on CPUs, where a batch's texts are of similar length
varlen  torch.nn.attention.varlen, flash attention that knows where texts begin: CUDA in bf16 or fp16
block   one mask of the whole pack, block by block: the plain meaning, slow, to check the others by
Trap: flash or sdpa without such borders mixes the texts of a pack silently.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional
from torch.nn.attention.varlen import varlen_attn

from model.packing import Grid, Pack

Attention = Callable[["torch.Tensor | None", torch.Tensor, Pack, int], torch.Tensor]
"""(queries of the wanted places (places, hidden) or None, joint (tokens, 3 or 2 * hidden), pack, heads) -> (rows, hidden).

Without queries of their own the joint ones come first: query, key, value; with them: key, value."""


def padded_attention(queries: torch.Tensor | None, joint: torch.Tensor, pack: Pack, heads: int) -> torch.Tensor:
    """Attention over padded blocks, with a backward pass of its own that scatters nothing."""
    return _Padded.apply(queries, joint, pack, heads)  # type: ignore[no-any-return, no-untyped-call]


def varlen_attention(queries: torch.Tensor | None, joint: torch.Tensor, pack: Pack, heads: int) -> torch.Tensor:
    """Attention by torch's variable-length flash attention: CUDA, bf16 or fp16."""
    query, key, value = _parted(queries, joint, heads)
    own = queries is None
    bounds, longest = (pack.bounds, pack.longest) if own else (pack.wanted_bounds, pack.most)
    out: Any = varlen_attn(query, key, value, bounds, pack.bounds, longest, pack.longest)
    return out.reshape(len(out), -1)  # type: ignore[no-any-return]


def block_attention(queries: torch.Tensor | None, joint: torch.Tensor, pack: Pack, heads: int) -> torch.Tensor:
    """Attention over the whole pack at once under a mask that lets a token see its own text alone."""
    query, key, value = (part.transpose(0, 1)[None] for part in _parted(queries, joint, heads))  # (1, heads, rows, size)
    numbers = torch.arange(len(pack.bounds) - 1, device=joint.device)
    of_token = numbers.repeat_interleave(pack.bounds.diff(), output_size=len(pack.ids))
    of_query = of_token if queries is None else of_token[pack.wanted]
    out = functional.scaled_dot_product_attention(query, key, value, attn_mask=of_query[:, None] == of_token[None, :])
    return out[0].transpose(0, 1).flatten(1)


def _parted(queries: torch.Tensor | None, joint: torch.Tensor, heads: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return query, key and value as (rows, heads, size)."""
    parts = joint.view(len(joint), 2 if queries is not None else 3, heads, -1).unbind(1)
    first = parts[0] if queries is None else queries.view(len(queries), heads, -1)
    return first, parts[-2], parts[-1]


class _Padded(torch.autograd.Function):
    """softmax(q k' / sqrt(size)) v over blocks (texts * heads, longest, size).

    Rows are gathered into the block and back in both directions: the padding's gradients are exactly 0, for its keys have
    probability 0 and nobody reads its queries, so no scattered sum is needed.
    """

    @staticmethod
    def forward(ctx: Any, queries: torch.Tensor | None, joint: torch.Tensor, pack: Pack, heads: int) -> torch.Tensor:
        with torch.autocast(joint.device.type, enabled=False):
            blocks = _block(joint, pack.tokens_grid, pack, heads, 3 if queries is None else 2)
            query = blocks[0] if queries is None else _block(queries, pack.wanted_grid, pack, heads, 1)[0]
            key, value = blocks[-2], blocks[-1]
            scale = query.shape[-1] ** -0.5
            mask = _mask(pack.tokens_grid, heads, joint.dtype)
            scores = torch.baddbmm(mask, query, key.transpose(1, 2), beta=float(pack.tokens_grid is not None), alpha=scale)
            shares = torch.softmax(scores, dim=-1)
            out = _rows(torch.bmm(shares, value)[None], pack.tokens_grid if queries is None else pack.wanted_grid, pack)
        ctx.save_for_backward(query, key, value, shares)
        ctx.pack, ctx.heads, ctx.own = pack, heads, queries is None
        return out

    @staticmethod
    def backward(ctx: Any, *given: torch.Tensor) -> Any:
        query, key, value, shares = ctx.saved_tensors
        pack, heads, own = ctx.pack, ctx.heads, ctx.own
        grid = pack.tokens_grid if own else pack.wanted_grid
        scale = query.shape[-1] ** -0.5
        came = _block(given[0], grid, pack, heads, 1, blank=True)[0]
        joint = torch.empty((3 if own else 2, *key.shape), dtype=key.dtype, device=key.device)
        torch.bmm(shares.transpose(1, 2), came, out=joint[-1])
        slopes = torch.bmm(came, value.transpose(1, 2))
        slopes = torch.ops.aten._softmax_backward_data(slopes, shares, -1, shares.dtype).mul_(scale)
        torch.bmm(slopes.transpose(1, 2), query, out=joint[-2])
        if own:
            torch.bmm(slopes, key, out=joint[0])
            return None, _rows(joint, grid, pack), None, None
        queries = torch.bmm(slopes, key)[None]
        return _rows(queries, grid, pack), _rows(joint, pack.tokens_grid, pack), None, None


def _block(rows: torch.Tensor, grid: Grid | None, pack: Pack, heads: int, parts: int, blank: bool = False) -> torch.Tensor:
    """Return (rows, parts * hidden) as (parts, texts * heads, longest, size). `blank`: the padding is 0, not row 0 again."""
    if grid is not None:
        rows = rows.index_select(0, grid.rows)
        if blank:
            rows.mul_(grid.there.reshape(-1, 1))
    blocks = rows.view(pack.texts, -1, parts, heads, rows.shape[1] // (parts * heads)).permute(2, 0, 3, 1, 4)
    return blocks.reshape(parts, pack.texts * heads, -1, blocks.shape[-1])


def _rows(blocks: torch.Tensor, grid: Grid | None, pack: Pack) -> torch.Tensor:
    """Return (parts, texts * heads, longest, size) as rows again: (rows, parts * hidden)."""
    parts, _, longest, size = blocks.shape
    rows = blocks.view(parts, pack.texts, -1, longest, size).permute(1, 3, 0, 2, 4).reshape(pack.texts * longest, -1)
    return rows if grid is None else rows.index_select(0, grid.back)


def _mask(grid: Grid | None, heads: int, dtype: torch.dtype) -> torch.Tensor:
    """Return what is added to the scores: (texts * heads, 1, longest), or an empty thing that nothing reads."""
    if grid is None:
        return torch.zeros((), dtype=dtype)
    low = torch.zeros(grid.there.shape, dtype=dtype, device=grid.there.device).masked_fill_(~grid.there, torch.finfo(dtype).min)
    return low.repeat_interleave(heads, dim=0)[:, None, :]
