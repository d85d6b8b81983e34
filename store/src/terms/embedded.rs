//! The records that Limbeck comes with: every file of `store/terms`.

macro_rules! embedded {
    ($($file:literal,)*) => {
        /// Each file with its content.
        pub(super) const EMBEDDED: &[(&str, &str)] =
            &[$(($file, include_str!(concat!("../../terms/", $file)))),*];
    };
}

embedded![
    "anthropic-api-2025-09-15.toml",
    "anthropic-consumer-2025-10-08.toml",
    "apache-2.0.toml",
    "cc-by-4.0.toml",
    "cc-by-nc-4.0.toml",
    "cc-by-sa-4.0.toml",
    "cc0-1.0.toml",
    "cohere-api.toml",
    "deepseek-api-2025-01-20.toml",
    "deepseek-api-2026-03-27.toml",
    "deepseek-api-2026-04-29.toml",
    "deepseek-consumer-2026-03-27.toml",
    "fireworks-2025-03-25.toml",
    "gemini-api.toml",
    "google-consumer-2024-05-22.toml",
    "google-consumer-2026-07-30.toml",
    "kimi-consumer-2024-01-05.toml",
    "licenseref-scancode-deepseek-la-1.0.toml",
    "licenseref-scancode-exaone-ai-model-1.1-nc.toml",
    "licenseref-scancode-gemma-tou-2024-04-01.toml",
    "licenseref-scancode-gemma-tou-2025-03-24.toml",
    "licenseref-scancode-llama-2-license-2023.toml",
    "licenseref-scancode-llama-3.1-license-2024.toml",
    "licenseref-scancode-llama-3.2-license-2024.toml",
    "licenseref-scancode-llama-3.3-license-2024.toml",
    "licenseref-scancode-llama-4-cla-2025.toml",
    "licenseref-scancode-moonshot-ai-modified-mit-2025.toml",
    "licenseref-scancode-nvidia-open-model-2025-04-28.toml",
    "licenseref-scancode-openmdw-1.0.toml",
    "licenseref-scancode-qwen-2024.toml",
    "licenseref-scancode-tongyi-qianwen-2023.toml",
    "llama-3.toml",
    "meta-model-api-2026-08-05.toml",
    "meta-model-api-2026-08-21.toml",
    "mistral-commercial-2026-05-28.toml",
    "mistral-commercial-2026-08-05.toml",
    "mistral-research.toml",
    "mit.toml",
    "openai-api-2025-05-31.toml",
    "openai-api-2026-01-01.toml",
    "openai-consumer-2025-04-29.toml",
    "openai-consumer-2026-01-16.toml",
    "openrouter-2026-04-02.toml",
    "openrouter-2026-05-06.toml",
    "qwen-chat-2025-03-01.toml",
    "qwen-chat-2026-04-09.toml",
    "qwen-chat-2026-05-19.toml",
    "together-2025-12-17.toml",
    "together-2026-05-19.toml",
    "xai-enterprise-2025-06-27.toml",
    "xai-enterprise-2026-05-12.toml",
    "xai-enterprise-2026-08-14.toml",
];
