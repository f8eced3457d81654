"""Tiny random models of many families, and which of their layers a student can keep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, PreTrainedModel

VOCABULARY, LAYERS = 700, 4
ANY, FIRST, NONE = "any", "the first", "none"


@dataclass(frozen=True)
class Family:
    """A family's tiny configuration.

    Attributes:
        config: name of its class.
        settings: the arguments of that class.
        keeps: which layers a student can keep: `ANY`, `FIRST` ones only, or `NONE`.
        lora: whether its layers have linear maps that LoRA can work on.
    """

    config: str
    settings: dict[str, Any]
    keeps: str = ANY
    lora: bool = True

    def model(self, seed: int = 0, **settings: Any) -> PreTrainedModel:
        """A random model whose biases and norms are random too, in evaluation mode."""
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(getattr(transformers, self.config)(**{**self.settings, **settings}))
        with torch.no_grad():
            for weight in model.parameters():
                if weight.dim() <= 1:
                    weight.add_(0.1 * torch.randn_like(weight))
        return model.eval()

    def written(self, folder: Path, **settings: Any) -> Path:
        """Save the model; its folder."""
        self.model(**settings).save_pretrained(folder)
        return folder


def _of(config: str, keeps: str = ANY, **settings: Any) -> Family:
    """A family whose configuration has Llama's names for its settings."""
    return Family(config, {**_USUAL, **settings}, keeps)


_USUAL = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 0,
    "initializer_range": 0.3,
}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
_DEEPSEEK = {
    "num_key_value_heads": 4,
    "moe_intermediate_size": 32,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 2,
    "kv_lora_rank": 8,
    "q_lora_rank": 8,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
    "n_shared_experts": 1,
}
_GPT2 = {
    "vocab_size": VOCABULARY,
    "n_embd": 32,
    "n_layer": LAYERS,
    "n_head": 4,
    "n_positions": 256,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "initializer_range": 0.3,
}
_MAMBA2 = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_chunk_size": 8}
_WINDOWS = {"layer_types": ["sliding_attention", "full_attention"] * 2, "sliding_window": 8}
_MIXED = {"layer_types": ["linear_attention", "full_attention"] * 2}

FAMILIES: dict[str, Family] = {
    "Bamba": _of("BambaConfig", attn_layer_indices=[1, 3], **_MAMBA2),
    "BLOOM": Family(
        "BloomConfig",
        {"vocab_size": VOCABULARY, "hidden_size": 32, "n_layer": LAYERS, "n_head": 4, "initializer_range": 0.3},
    ),
    "Cohere": _of("CohereConfig", logit_scale=0.0625),
    "Cohere 2": _of("Cohere2Config", logit_scale=0.25, **_WINDOWS),
    "DeepSeek-V3": _of("DeepseekV3Config", **_DEEPSEEK),
    "DiffLlama": _of("DiffLlamaConfig", FIRST),
    "Falcon-H1": _of(
        "FalconH1Config", lm_head_multiplier=0.5, mamba_d_ssm=32, mamba_n_groups=1, **{**_MAMBA2, "mamba_n_heads": 4}
    ),
    "Gemma 2": _of("Gemma2Config", head_dim=8, query_pre_attn_scalar=8, final_logit_softcapping=5.0, **_WINDOWS),
    "Gemma 3": _of("Gemma3TextConfig", head_dim=8, query_pre_attn_scalar=8, **_WINDOWS),
    "Gemma 3n": _of(
        "Gemma3nTextConfig",
        NONE,
        intermediate_size=[64] * LAYERS,
        head_dim=8,
        vocab_size_per_layer_input=VOCABULARY,
        hidden_size_per_layer_input=8,
        num_kv_shared_layers=2,
        activation_sparsity_pattern=[0.5, 0.5, 0.0, 0.0],
        laurel_rank=4,
        **_WINDOWS,
    ),
    "GLM-4 MoE": _of(
        "Glm4MoeConfig",
        head_dim=8,
        moe_intermediate_size=32,
        n_routed_experts=4,
        num_experts_per_tok=2,
        n_group=1,
        topk_group=1,
        first_k_dense_replace=2,
        n_shared_experts=1,
    ),
    "GPT-2": Family("GPT2Config", _GPT2),
    "GPT-2, scale_attn_by_inverse_layer_idx": Family(
        "GPT2Config", {**_GPT2, "scale_attn_by_inverse_layer_idx": True}, FIRST
    ),
    "GPT-J": Family("GPTJConfig", {**_GPT2, "rotary_dim": 4}),
    "GPT-Neo": Family(
        "GPTNeoConfig",
        {
            "vocab_size": VOCABULARY,
            "hidden_size": 32,
            "num_layers": LAYERS,
            "num_heads": 4,
            "window_size": 8,
            "attention_types": [[["global", "local"], 2]],
            "max_position_embeddings": 256,
            "intermediate_size": 64,
            "bos_token_id": 0,
            "eos_token_id": 0,
            "initializer_range": 0.3,
        },
    ),
    "GPT-NeoX": _of("GPTNeoXConfig"),
    "GPT-OSS": _of("GptOssConfig", head_dim=8, num_local_experts=4, num_experts_per_tok=2, **_WINDOWS),
    "Granite": _of(
        "GraniteConfig",
        logits_scaling=8.0,
        embedding_multiplier=12.0,
        residual_multiplier=0.22,
        attention_multiplier=0.1,
    ),
    "Granite 4 hybrid": _of(
        "GraniteMoeHybridConfig",
        num_local_experts=4,
        num_experts_per_tok=2,
        shared_intermediate_size=32,
        logits_scaling=4.0,
        layer_types=["mamba", "attention"] * 2,
        **_MAMBA2,
    ),
    "Jamba": _of(
        "JambaConfig",
        FIRST,
        num_experts=4,
        attn_layer_period=2,
        attn_layer_offset=1,
        expert_layer_period=2,
        expert_layer_offset=1,
        use_mamba_kernels=False,
        mamba_d_state=4,
        mamba_expand=1,
        mamba_dt_rank=4,
    ),
    "LFM2": _of("Lfm2Config", full_attn_idxs=[1, 3], block_multiple_of=8),
    "Llama": _of("LlamaConfig", tie_word_embeddings=True),
    "Llama 4": _of(
        "Llama4TextConfig",
        head_dim=8,
        num_local_experts=4,
        num_experts_per_tok=1,
        interleave_moe_layer_step=2,
        no_rope_layer_interval=2,
        intermediate_size_mlp=64,
        attention_chunk_size=8,
    ),
    "Mamba": Family(
        "MambaConfig",
        {
            "vocab_size": VOCABULARY,
            "hidden_size": 32,
            "num_hidden_layers": LAYERS,
            "state_size": 4,
            "bos_token_id": 0,
            "eos_token_id": 0,
            "pad_token_id": 0,
        },
        lora=False,
    ),
    "MiniCPM3": _of(
        "MiniCPM3Config",
        scale_depth=1.4,
        scale_emb=12,
        dim_model_base=16,
        **{
            name: _DEEPSEEK[name]
            for name in (
                "num_key_value_heads",
                "kv_lora_rank",
                "q_lora_rank",
                "qk_rope_head_dim",
                "qk_nope_head_dim",
                "v_head_dim",
            )
        },
    ),
    "MiniMax": _of("MiniMaxConfig", NONE, num_local_experts=4, block_size=8, head_dim=8, **_MIXED),
    "Mistral": _of("MistralConfig", sliding_window=8, head_dim=8),
    "Mixtral": _of("MixtralConfig", num_local_experts=4, num_experts_per_tok=2, sliding_window=None),
    "ModernBERT decoder": _of("ModernBertDecoderConfig", NONE, local_attention=8, cls_token_id=1, sep_token_id=2),
    "nanochat": _of("NanoChatConfig", head_dim=8, final_logit_softcapping=5.0),
    "OLMo 3": _of("Olmo3Config", sliding_window=8),
    "OPT": _of("OPTConfig", ffn_dim=64, word_embed_proj_dim=16, init_std=0.3),
    "Phi": _of("PhiConfig", num_key_value_heads=4),
    "Phi-3": _of("Phi3Config", sliding_window=8, original_max_position_embeddings=256),
    "Qwen2": _of("Qwen2Config", use_sliding_window=True, sliding_window=8, max_window_layers=2),
    "Qwen2-MoE": _of(
        "Qwen2MoeConfig", shared_expert_intermediate_size=32, mlp_only_layers=[3], decoder_sparse_step=2, **_EXPERTS
    ),
    "Qwen3": _of("Qwen3Config", head_dim=8, use_sliding_window=True, sliding_window=8, max_window_layers=3),
    "Qwen3-MoE": _of("Qwen3MoeConfig", head_dim=8, mlp_only_layers=[1, 3], **_EXPERTS),
    "Qwen3-Next": _of(
        "Qwen3NextConfig",
        head_dim=8,
        shared_expert_intermediate_size=32,
        linear_num_value_heads=2,
        linear_num_key_heads=2,
        linear_key_head_dim=8,
        linear_value_head_dim=8,
        **_MIXED,
        **_EXPERTS,
    ),
    "RecurrentGemma": _of(
        "RecurrentGemmaConfig",
        lru_width=32,
        attention_window_size=8,
        head_dim=8,
        logits_soft_cap=5.0,
        block_types=["recurrent", "attention"],
    ),
    "SmolLM3": _of("SmolLM3Config", no_rope_layer_interval=2, use_sliding_window=False),
    "StarCoder2": _of("Starcoder2Config", sliding_window=8),
}


def table() -> str:
    """The table of families in the documentation (docs/distil.md)."""
    rows = [
        f"| {name} | {family.keeps} | {'yes' if family.lora and family.keeps != NONE else 'no'} |"
        for name, family in FAMILIES.items()
    ]
    return "\n".join(["| family | layers that a student can keep | LoRA |", "|---|---|---|", *rows])
