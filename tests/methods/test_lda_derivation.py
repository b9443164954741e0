"""LDA against a second derivation, in float64."""

import pytest
import torch
from torch.nn import functional as F

from dgreid.methods.lda import LDA
from helpers.lda import STEPS, K, batch, make
from helpers.tiny import snapshot


class Reference:
    """The same system as a dictionary of tensors and the poster's formulas."""

    def __init__(self, method: LDA):
        self.state = snapshot(method)
        self.learned = [name for name, p in method.named_parameters() if p.requires_grad]
        self.options = method.options

    def bn(self, x, layer, mean, var):
        c = (None, slice(None), *[None] * (x.dim() - 2))
        weight, bias = self.state[f"{layer}.weight"], self.state[f"{layer}.bias"]
        return (x - mean[c]) / (var[c] + 1e-5).sqrt() * weight[c] + bias[c]

    def batch_bn(self, x, layer, running, row=None):
        """Normalise by the batch and move the running statistics (a row of them)."""
        over = [0, *range(2, x.dim())]
        mean, var = x.mean(over), x.var(over, correction=0)
        count = x.numel() / x.shape[1]
        for name, value in ((f"{running}mean", mean), (f"{running}var", var * count / (count - 1))):
            old = self.state[f"{layer}.{name}"] if row is None else self.state[f"{layer}.{name}"][row]
            old.copy_(0.9 * old + 0.1 * value.detach())
        return self.bn(x, layer, mean, var)

    def anti(self, x, layer, j):
        if j is None:
            mean, var = (self.state[f"{layer}.bank_{kind}"].mean(0) for kind in ("mean", "var"))
        else:
            mean, var = (self.state[f"{layer}.bank_{kind}"][j] for kind in ("mean", "var"))
        m = x.mean((2, 3), keepdim=True)
        v = (x - m).square().mean((2, 3), keepdim=True)
        c = (None, slice(None), None, None)
        y = (x - m) / (v + 1e-5).sqrt() * (var[c] + 1e-5).sqrt() + mean[c]
        if self.options.an_mode == "replace":
            return y
        if self.options.an_mode == "pre_mixture":
            mean, var = (sum(self.state[f"{layer}.bank_{kind}"]) / K for kind in ("mean", "var"))
        return self.bn(y, layer, mean, var)

    def maps(self, x, norm, network="network"):
        for place in ("stem", "one", "two"):
            x = F.conv2d(x, self.state[f"{network}.backbone.{place}.0.weight"])
            x = norm(x, f"{network}.backbone.{place}.1", place).clamp(min=0)
        return x

    def expert(self, x, k):
        def norm(x, layer, place):
            y = self.batch_bn(x, layer, "bank_", k)
            for kind in ("bank_mean", "bank_var"):  # one bank, also of two copies
                ours = layer.replace("other_expert", "network")
                self.state[f"{ours}.{kind}"].copy_(self.state[f"{layer}.{kind}"])
            return y

        return self.maps(x, norm, "network" if self.options.share_weights else "other_expert")

    def aligned(self, x, j, training=True):
        def norm(x, layer, place):
            if place != "two" and self.options.an_mode != "none":
                return self.anti(x, layer, j)
            if training:
                return self.batch_bn(x, layer, "running_")
            return self.bn(x, layer, *(self.state[f"{layer}.running_{kind}"] for kind in ("mean", "var")))

        return self.maps(x, norm)

    def identity_losses(self, maps, labels, neck, weight):
        f = maps.mean((2, 3))
        logits = self.batch_bn(f, neck, "running_") @ weight.T
        target = torch.full_like(logits, 0.1 / (len(weight) - 1)).scatter(1, labels[:, None], 0.9)
        entropy = -(target * logits.log_softmax(1)).sum(1).mean()
        hardest = []
        for a in range(4):
            far = [((f[a] - f[b]).square().sum() + 1e-30).sqrt() for b in range(4)]
            positive = max(far[b] for b in range(4) if b != a and labels[b] == labels[a])
            negative = min(far[b] for b in range(4) if labels[b] != labels[a])
            hardest.append((positive - negative + 0.3).clamp(min=0))
        return entropy + torch.stack(hardest).mean()

    def iteration(self, number, given, weights, partners):
        s, o = self.state, self.options
        for name in self.learned:
            s[name] = s[name].detach().requires_grad_()
        share = min(1, number / STEPS)
        rows = [slice(4 * k, 4 * k + 4) for k in range(K)]

        loss, means, deviations = 0, [], []
        for k in range(K):
            maps = self.expert(given.images[rows[k]], k)
            own = s["expert_classifier.weight"][3 * k : 3 * k + 3]
            labels = given.identities[rows[k]] - 3 * k
            loss = loss + self.identity_losses(maps, labels, "expert_neck", own) / K
            means.append(maps.mean((0, 2, 3)))
            deviations.append((maps.var((0, 2, 3), correction=0) + 1e-5).sqrt())
        consistency = 0
        for k in range(K):
            mean = sum(weights[k, i] * means[i].detach() for i in range(K))
            std = sum(weights[k, i] * deviations[i].detach() for i in range(K))
            distance = (means[k] - mean).square().sum() + (deviations[k] - std).square().sum()
            consistency = consistency + distance / 6 / K
        for name, values in (("output_mean", means), ("output_std", deviations)):
            new = torch.stack(values).detach()
            s[name] = new if number == 0 else 0.9 * s[name] + 0.1 * new
        alignment = 0
        for k in range(K):
            maps = self.aligned(given.images[rows[k]], partners[k])
            all_rows = s["network.classifier.weight"]
            loss = loss + self.identity_losses(maps, given.identities[rows[k]], "network.neck", all_rows) / K
            mean, std = weights[k] @ s["output_mean"], weights[k] @ s["output_std"]
            for image in maps:
                m, d = image.mean((1, 2)), (image.var((1, 2), correction=0) + 1e-5).sqrt()
                alignment = alignment + ((m - mean).square().sum() + (d - std).square().sum()) / 6 / 12
        total = loss + share * (o.consistency_weight * consistency + o.alignment_weight * alignment)
        learned = [s[name] for name in self.learned]
        gradients = torch.autograd.grad(total, learned, materialize_grads=True, allow_unused=True)
        for name, gradient in zip(self.learned, gradients, strict=True):
            s[name] = s[name].detach() - 0.05 * gradient
        return consistency.detach(), alignment.detach()


CASES = {
    "as shipped": ("lda", {}),
    "weights apart": ("lda", {"consistency_weight": 3.0, "alignment_weight": 0.2}),
    "before the norm": ("lda", {"an_mode": "pre_bn"}),
    "before the average norm": ("lda_pre_mixture", {}),
    "two copies": ("lda", {"share_weights": False}),
    "own left out": ("lda", {"latent_leaves_own_out": True}),
    "without L_consis": ("lda_no_consistency", {}),
    "without L_align": ("lda_no_alignment", {}),
    "without AN": ("lda_no_anti", {"an_stages": 2}),  # the default: nothing reads it
}


@pytest.mark.parametrize("case", CASES)
def test_iterations_equal_the_second_derivation(case):
    name, changes = CASES[case]
    method = make(name=name, **changes)
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        method.network.neck.bias.zero_()
        method.expert_neck.bias.zero_()
    reference = Reference(method)
    for number in (0, 3, 4):  # none, some and all of the distribution losses
        torch.manual_seed(number)
        weights = method.draw_weights().double()
        partners = [int(method.draw_partners(k, 4)[0]) for k in range(K)]
        torch.manual_seed(number)
        logged = method.step({"base": [batch(number)]}, number)
        consistency, alignment = reference.iteration(number, batch(number), weights, partners)
        torch.testing.assert_close(logged["consistency"], consistency)  # as they are, without weights
        torch.testing.assert_close(logged["alignment"], alignment)

    ours = method.state_dict()
    for key, value in reference.state.items():
        if "num_batches" not in key:
            assert (ours[key] - value).abs().max() < 1e-10, key
    given = batch(8).images
    features = reference.aligned(given, None, training=False).mean((2, 3))
    kept = (reference.state[f"network.neck.running_{kind}"] for kind in ("mean", "var"))
    torch.testing.assert_close(
        method.eval().embed(given).detach(), reference.bn(features, "network.neck", *kept)
    )
