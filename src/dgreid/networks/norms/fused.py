"""A mixture of batch and instance normalisation as one affine map per image and channel.

Both normalisations are affine in x given their statistics, so their mixture is too:

    y = rho (g_B (x - mu) r_B + b_B) + (1 - rho) (g_I (x - m) r_I + b_I) = a (x - m) + c

with m[n,c], v[n,c] the mean and variance of one image's channel, mu[c], var[c] those of the batch,
r_I = (v + eps)^-1/2, r_B = (var + eps)^-1/2, A = rho g_B r_B and

    a[n,c] = A + (1 - rho) g_I r_I            c[n,c] = A (m - mu) + rho b_B + (1 - rho) b_I.

This takes one pass for the statistics and one for y, instead of three full-size intermediates; backward keeps
only x and vectors. The form a (x - m) + c does not lose precision if |m| >> sqrt(v), as a x + b would.
"""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Elements per step on a CPU (1/2 MiB of float32), so that a part stays in the cache between passes.
PART = 2**17


def precise(x: Tensor) -> torch.dtype:
    """Return the type in which statistics of `x` are computed: never half precision."""
    return x.dtype if x.dtype == torch.float64 else torch.float32


def instance_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Compute mean and population variance of every image's channel, (N, C, H, W) -> two of (N, C)."""
    rows, parts = _rows(x.detach())  # (N*C, L) or (N, C, L)
    mean = rows.new_empty((*rows.shape[:-1], 1), dtype=precise(x))
    norm = torch.empty_like(mean)
    for part in parts:
        torch.mean(rows[part], -1, keepdim=True, dtype=mean.dtype, out=mean[part])
        # two passes, from centred values, because E[x^2] - E[x]^2 loses precision
        torch.linalg.vector_norm(rows[part] - mean[part], dim=-1, keepdim=True, out=norm[part])
    return mean.view(x.shape[:2]), norm.square_().div_(rows.shape[-1]).view(x.shape[:2])


def batch_statistics(means: Tensor, variances: Tensor) -> tuple[Tensor, Tensor]:
    """Compute a batch's mean and population variance from its images', two of (N, C) -> two of (C,)."""
    mean = means.mean(0)
    return mean, variances.mean(0) + (means - mean).square().mean(0)


class BatchInstanceMixture(torch.autograd.Function):
    """Computes y of the module's docstring, with a hand-written backward (first order only).

    `apply(x, m, v, mu, var, rho, g_B, b_B, g_I, b_I, from_batch, eps)`: x is (N, C, H, W), m and v are (N,
    C), the others (C,). m and v get no gradient of their own; the gradient of x includes the part through
    them, and the part through mu and var if `from_batch`: these are then the batch's statistics.
    """

    @staticmethod
    def forward(ctx, x, m, v, mu, var, rho, g_b, b_b, g_i, b_i, from_batch, eps):
        """Compute y, of the shape and type of x."""
        r_b, r_i = (var + eps).rsqrt(), (v + eps).rsqrt()  # (C,), (N, C)
        ctx.save_for_backward(x, m, mu, r_b, r_i, rho, g_b, b_b, g_i, b_i)
        ctx.from_batch = from_batch
        a, c = _coefficients(m, mu, r_b, r_i, rho, g_b, b_b, g_i, b_i)
        return _affine(x, m, a, c)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        """Compute two sums per image and channel, then one elementwise pass if x needs a gradient."""
        x, m, mu, r_b, r_i, rho, g_b, b_b, g_i, b_i = ctx.saved_tensors
        need = ctx.needs_input_grad
        length = x.shape[2] * x.shape[3]  # L
        total = length * len(x)  # M = N L
        s, t = _sums(dy, x, m)  # (N, C): sum dy, sum dy (x - m)
        s_batch = s.sum(0)  # (C,) sum dy
        t_batch = r_b * (t + (m - mu) * s).sum(0)  # (C,) sum dy x_hat_B
        t_instance = (r_i * t).sum(0)  # (C,) sum dy x_hat_I
        rest = 1 - rho
        dx = None
        if need[0]:
            A, B = rho * g_b * r_b, rest * g_i * r_i  # (C,), (N, C)
            p = -B * r_i.square() * t / length  # (N, C)
            q = -B * s / length
            if ctx.from_batch:
                p = p - A * r_b * t_batch / total
                q = q - A * (s_batch + r_b * t_batch * (m - mu)) / total
            dx = _input_gradient(dy, x, m, A + B, p, q)
        gradients = (
            g_b * t_batch + b_b * s_batch - g_i * t_instance - b_i * s_batch if need[5] else None,
            rho * t_batch if need[6] else None,
            rho * s_batch if need[7] else None,
            rest * t_instance if need[8] else None,
            rest * s_batch if need[9] else None,
        )
        return dx, None, None, None, None, *gradients, None, None


def differentiable_mixture(x, statistics, rho, g_b, b_b, g_i, b_i, eps) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the same y by plain operations: differentiable any number of times, and for torch.compile.

    Args:
        x: (N, C, H, W).
        statistics: (mu, var) of the batch branch; None: those of the batch.
        rho: (C,), as the four affine vectors after it.
        g_b: weight of the batch branch.
        b_b: bias of the batch branch.
        g_i: weight of the instance branch.
        b_i: bias of the instance branch.
        eps: added to variances.

    Returns:
        y (N, C, H, W), and the mu, var (C,) that it used.
    """
    wide = x.to(precise(x))
    m = wide.mean((2, 3))  # (N, C)
    centred = wide - m[..., None, None]
    v = centred.square().mean((2, 3))
    mu, var = batch_statistics(m, v) if statistics is None else statistics
    a, c = _coefficients(m, mu, (var + eps).rsqrt(), (v + eps).rsqrt(), rho, g_b, b_b, g_i, b_i)
    return (a[..., None, None] * centred + c[..., None, None]).to(x.dtype), mu, var


def _coefficients(m, mu, r_b, r_i, rho, g_b, b_b, g_i, b_i) -> tuple[Tensor, Tensor]:
    """Compute a and c, (N, C) each."""
    A = rho * g_b * r_b  # (C,)
    return A + (1 - rho) * g_i * r_i, A * (m - mu) + rho * b_b + (1 - rho) * b_i


def in_parts(x: Tensor) -> bool:
    """Return whether to work in parts: CPUs gain if a part fits the cache, GPUs prefer large operations."""
    return x.device.type == "cpu"


def _empty(x: Tensor) -> Tensor:
    """Make an output like x that `_rows` can view without a copy."""
    return torch.empty_like(
        x, memory_format=torch.contiguous_format if in_parts(x) else torch.preserve_format
    )


def _rows(x: Tensor) -> tuple[Tensor, list[slice]]:
    """Reshape x to put its positions last, (..., L), and return the parts to process one by one."""
    if not in_parts(x):
        return x.flatten(2), [slice(None)]  # (N, C, L), in any memory format
    rows = x.contiguous().view(x.shape[0] * x.shape[1], -1)  # (N*C, L)
    step = max(1, PART * torch.get_num_threads() // rows.shape[1])
    return rows, [slice(start, start + step) for start in range(0, len(rows), step)]


def _columns(rows: Tensor, *vectors: Tensor) -> list[Tensor]:
    """Reshape (N, C) vectors like `rows`, with one position: (N*C, 1) or (N, C, 1)."""
    return [vector.contiguous().view(*rows.shape[:-1], 1) for vector in vectors]


def _affine(x: Tensor, m: Tensor, a: Tensor, c: Tensor) -> Tensor:
    """Compute a (x - m) + c."""
    rows, parts = _rows(x)
    m, a, c = _columns(rows, m, a, c)
    result = _empty(x)  # autograd needs a tensor that is not a view
    out, _ = _rows(result)
    for part in parts:
        if out.dtype == m.dtype:
            torch.sub(rows[part], m[part], out=out[part]).mul_(a[part]).add_(c[part])
        else:  # half precision in and out, float32 in between
            out[part] = (rows[part] - m[part]).mul_(a[part]).add_(c[part])
    return result


def _sums(dy: Tensor, x: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
    """Sum dy and dy (x - m) over positions, (N, C) each."""
    rows, parts = _rows(x)
    gradient, _ = _rows(dy)
    (m,) = _columns(rows, m)
    s, t = torch.empty_like(m), torch.empty_like(m)
    for part in parts:
        torch.sum(gradient[part], -1, keepdim=True, dtype=m.dtype, out=s[part])
        torch.sum((rows[part] - m[part]).mul_(gradient[part]), -1, keepdim=True, out=t[part])
    return s.view(x.shape[:2]), t.view(x.shape[:2])


def _input_gradient(dy: Tensor, x: Tensor, m: Tensor, a: Tensor, p: Tensor, q: Tensor) -> Tensor:
    """Compute a dy + p (x - m) + q."""
    rows, parts = _rows(x)
    gradient, _ = _rows(dy)
    m, a, p, q = _columns(rows, m, a, p, q)
    result = _empty(x)  # autograd needs a tensor that is not a view
    out, _ = _rows(result)
    for part in parts:
        if out.dtype == m.dtype:
            torch.sub(rows[part], m[part], out=out[part]).mul_(p[part])
            out[part].addcmul_(gradient[part], a[part]).add_(q[part])
        else:
            centred = (rows[part] - m[part]).mul_(p[part])
            out[part] = centred.addcmul_(gradient[part].to(m.dtype), a[part]).add_(q[part])
    return result
