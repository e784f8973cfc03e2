"""Small price lists in the true shapes of the three public ones; names and numbers are made up."""

from __future__ import annotations

MODELS_DEV = {
    "vendor": {
        "id": "vendor",
        "env": ["VENDOR_API_KEY"],
        "npm": "@ai-sdk/openai-compatible",
        "api": "https://api.vendor.example/v1",
        "name": "Vendor",
        "doc": "https://vendor.example/docs",
        "models": {
            "coder": {
                "id": "coder",
                "name": "Coder",
                "attachment": True,
                "reasoning": True,
                "temperature": True,
                "tool_call": True,
                "structured_output": False,
                "release_date": "2026-01-02",
                "last_updated": "2026-05-01",
                "modalities": {"input": ["text", "image"], "output": ["text"]},
                "open_weights": False,
                "cost": {
                    "input": 3,
                    "output": 15,
                    "reasoning": 20,
                    "cache_read": 0.3,
                    "cache_write": 3.75,
                    "input_audio": 9,
                    "tiers": [
                        {
                            "input": 6,
                            "output": 22.5,
                            "cache_read": 0.6,
                            "tier": {"type": "context", "size": 200000},
                        }
                    ],
                    "context_over_200k": {"input": 6, "output": 22.5},
                },
                "limit": {"context": 1000000, "input": 900000, "output": 64000},
            },
            "old": {
                "id": "old",
                "name": "Old",
                "tool_call": {"supported": True, "parallel": False},
                "cost": {"input": 1, "output": 2, "context_over_200k": {"input": 2, "output": 4}},
                "limit": {"context": 0, "output": 0},
                "status": "deprecated",
            },
            "unpriced": {
                "id": "unpriced",
                "name": "Unpriced",
                "limit": {"context": 8192, "output": 1024},
            },
        },
    },
    "plan": {
        "id": "plan",
        "name": "A plan",
        "env": [],
        "models": {
            "coder": {
                "id": "coder",
                "name": "Coder in a plan",
                "cost": {"input": 0, "output": 0, "cache_read": 0, "cache_write": 0},
                "limit": {"context": 128000, "output": 16000},
            }
        },
    },
    "openrouter": {
        "id": "openrouter",
        "models": {
            "vendor/coder": {
                "id": "vendor/coder",
                "cost": {"input": 2.5, "output": 12, "cache_read": 0.25, "cache_write": 3},
                "limit": {"context": 200000, "output": 64000},
            }
        },
    },
}

OPENROUTER = {
    "data": [
        {
            "id": "vendor/coder",
            "canonical_slug": "vendor/coder-20260501",
            "hugging_face_id": None,
            "name": "Vendor: Coder",
            "created": 1777577071,
            "description": "A model",
            "context_length": 1000000,
            "architecture": {
                "modality": "text+image->text",
                "input_modalities": ["text", "image"],
                "output_modalities": ["text"],
                "tokenizer": "Other",
                "instruct_type": None,
            },
            "pricing": {
                "prompt": "0.0000006",
                "completion": "0.0000024",
                "request": "0",
                "image": "0.001",
                "web_search": "0.01",
                "internal_reasoning": "0.000005",
                "input_cache_read": "0.00000006",
                "input_cache_write": "0.00000008333333333333334",
                "overrides": [
                    {"min_prompt_tokens": 272000, "prompt": "0.0000012", "completion": "0.0000036"}
                ],
            },
            "top_provider": {
                "context_length": 262144,
                "max_completion_tokens": 65536,
                "is_moderated": False,
            },
            "per_request_limits": None,
            "supported_parameters": ["max_tokens", "reasoning", "tools", "tool_choice"],
            "expiration_date": None,
        },
        {
            "id": "vendor/coder:free",
            "context_length": 131072,
            "pricing": {"prompt": "0", "completion": "0"},
            "top_provider": {"context_length": None, "max_completion_tokens": None},
            "supported_parameters": [],
            "expiration_date": "2026-12-31",
        },
        {
            "id": "openrouter/auto",
            "context_length": 2000000,
            "pricing": {"prompt": "-1", "completion": "-1"},
            "top_provider": {"context_length": None, "max_completion_tokens": None},
        },
        {"id": "vendor/zero", "pricing": {"prompt": "0", "completion": "0"}},
        {
            "id": "vendor/search",
            "pricing": {
                "prompt": "0.000001",
                "completion": "0.000002",
                "request": "0.005",
                "overrides": [{"utc_start": 0, "utc_end": 1200, "prompt": "0.0000005"}],
            },
        },
        {"id": "vendor/unpriced", "context_length": 8192},
    ],
    "total_count": 6,
}

LITELLM = {
    "sample_spec": {
        "input_cost_per_token": 0.0,
        "litellm_provider": "one of https://docs.litellm.ai/docs/providers",
        "max_input_tokens": "max input tokens, if the provider specifies it",
        "mode": "one of: chat, embedding",
    },
    "coder-1": {
        "cache_creation_input_token_cost": 3.75e-06,
        "cache_creation_input_token_cost_above_1hr": 6e-06,
        "cache_read_input_token_cost": 3e-07,
        "deprecation_date": "2027-01-31",
        "input_cost_per_token": 3e-06,
        "input_cost_per_token_above_200k_tokens": 6e-06,
        "litellm_provider": "vendor",
        "max_input_tokens": 200000,
        "max_output_tokens": 64000,
        "max_tokens": 64000,
        "mode": "chat",
        "output_cost_per_reasoning_token": 2e-05,
        "output_cost_per_token": 1.5e-05,
        "output_cost_per_token_above_200k_tokens": 2.25e-05,
        "supports_function_calling": True,
        "supports_reasoning": True,
        "supports_response_schema": True,
        "supports_vision": False,
    },
    "openrouter/vendor/coder": {
        "input_cost_per_token": 6e-07,
        "litellm_provider": "openrouter",
        "max_tokens": 8192,
        "mode": "chat",
        "output_cost_per_token": 2.4e-06,
    },
    "dash/tiered": {
        "litellm_provider": "dash",
        "max_input_tokens": 997952,
        "mode": "chat",
        "tiered_pricing": [
            {"input_cost_per_token": 5e-08, "output_cost_per_token": 4e-07, "range": [0, 256000.0]},
            {
                "input_cost_per_token": 2.5e-07,
                "output_cost_per_token": 2e-06,
                "range": [256000.0, 900000.0],
            },
        ],
    },
    "vendor/night": {
        "input_cost_per_token": 1e-06,
        "litellm_provider": "vendor",
        "mode": "chat",
        "off_peak_pricing": {"input_cost_per_token": 5e-07},
        "output_cost_per_token": 2e-06,
        "input_cost_per_request": 0.005,
    },
    "embedder": {
        "input_cost_per_token": 2e-08,
        "litellm_provider": "vendor",
        "max_input_tokens": 8191,
        "mode": "embedding",
        "output_cost_per_token": 0.0,
        "output_vector_size": 1536,
    },
    "1024-x-1024/painter": {
        "litellm_provider": "vendor",
        "mode": "image_generation",
        "output_cost_per_image": 0.04,
    },
}

LISTS = {"models.dev": MODELS_DEV, "openrouter": OPENROUTER, "litellm": LITELLM}
