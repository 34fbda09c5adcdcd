"""The yardstick: the same model, trained by a loop that anyone would write in PyTorch."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    def __init__(self, width: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.q_norm = nn.RMSNorm(width // heads, eps=1e-6)
        self.k_norm = nn.RMSNorm(width // heads, eps=1e-6)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        b, length, width = x.shape
        q, k, v = self.qkv(x).view(b, length, 3, self.heads, -1).unbind(2)
        q, k = self.q_norm(q).transpose(1, 2), self.k_norm(k).transpose(1, 2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        y = F.scaled_dot_product_attention(q, k, v.transpose(1, 2), is_causal=self.causal)
        return self.out(y.transpose(1, 2).reshape(b, length, width))


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


class Block(nn.Module):
    def __init__(self, width: int, heads: int, ffn: int, causal: bool) -> None:
        super().__init__()
        self.attention = Attention(width, heads, causal)
        self.norm1, self.norm2 = nn.RMSNorm(width, eps=1e-6), nn.RMSNorm(width, eps=1e-6)
        self.gate = nn.Linear(width, ffn, bias=False)
        self.up = nn.Linear(width, ffn, bias=False)
        self.down = nn.Linear(ffn, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x), cos, sin)
        y = self.norm2(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


class Transformer(nn.Module):
    def __init__(
        self,
        *,
        layers: int,
        width: int,
        heads: int,
        ffn: int,
        vocab: int,
        length: int,
        causal: bool,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab, width)
        self.blocks = nn.ModuleList(Block(width, heads, ffn, causal) for _ in range(layers))
        self.norm = nn.RMSNorm(width, eps=1e-6)
        self.head = nn.Linear(width, vocab, bias=False)
        self.head.weight = self.embedding.weight
        nn.init.normal_(self.embedding.weight, std=0.02)
        half = width // heads // 2
        angles = torch.outer(torch.arange(length), 1e4 ** (-torch.arange(half) / half))
        angles = torch.cat([angles, angles], dim=-1)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        return self.head(self.norm(x))


class PlainLoop:
    """AR or masked diffusion on windows of a token array."""

    def __init__(
        self, model: Transformer, windows: Tensor, *, objective: str, batch: int, lr: float
    ) -> None:
        self.model, self.windows = model, windows
        self.objective, self.batch = objective, batch
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=lr, betas=(0.9, 0.95), weight_decay=0.1
        )
        self.mask_id, self.bos_id, self.n_tokens = 256, 257, 256

    def step(self) -> float:
        tokens = self.windows[torch.randint(len(self.windows), (self.batch,))]
        if self.objective == "ar":
            bos = torch.full((self.batch, 1), self.bos_id)
            inputs, weights = torch.cat([bos, tokens[:, :-1]], dim=1), None
        else:
            t = (torch.arange(self.batch) + torch.rand(self.batch)) / self.batch
            masked = torch.rand(tokens.shape) < t[:, None]
            inputs, weights = tokens.masked_fill(masked, self.mask_id), masked / t[:, None]
        logits = self.model(inputs)[..., : self.n_tokens]
        nll = F.cross_entropy(
            logits.reshape(-1, self.n_tokens), tokens.flatten(), reduction="none"
        ).view_as(tokens)
        loss = (nll if weights is None else nll * weights).mean()
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return loss.item()
