//! Which special tokens transformers' tokenizer classes have where a checkpoint's files do not say.

use serde_json::Value;

/// Tokens by their names.
type Tokens = &'static [(&'static str, &'static str)];

/// BERT's.
const BERT: Tokens = &[
    ("unk_token", "[UNK]"),
    ("sep_token", "[SEP]"),
    ("pad_token", "[PAD]"),
    ("cls_token", "[CLS]"),
    ("mask_token", "[MASK]"),
];
/// RoBERTa's.
const ROBERTA: Tokens = &[
    ("bos_token", "<s>"),
    ("eos_token", "</s>"),
    ("sep_token", "</s>"),
    ("cls_token", "<s>"),
    ("unk_token", "<unk>"),
    ("pad_token", "<pad>"),
    ("mask_token", "<mask>"),
];
/// Llama 2's.
const LLAMA: Tokens = &[
    ("unk_token", "<unk>"),
    ("bos_token", "<s>"),
    ("eos_token", "</s>"),
];
/// GPT-2's.
const GPT2: Tokens = &[
    ("unk_token", "<|endoftext|>"),
    ("bos_token", "<|endoftext|>"),
    ("eos_token", "<|endoftext|>"),
];
/// GPT-NeoX's.
const GPT_NEOX: Tokens = &[
    ("unk_token", "<|endoftext|>"),
    ("bos_token", "<|endoftext|>"),
    ("eos_token", "<|endoftext|>"),
    ("pad_token", "<|padding|>"),
];
/// Qwen's.
const QWEN2: Tokens = &[
    ("unk_token", "<|endoftext|>"),
    ("eos_token", "<|endoftext|>"),
    ("pad_token", "<|endoftext|>"),
];
/// Gemma's.
const GEMMA: Tokens = &[
    ("unk_token", "<unk>"),
    ("bos_token", "<bos>"),
    ("eos_token", "<eos>"),
    ("pad_token", "<pad>"),
    ("mask_token", "<mask>"),
];

/// Those of the class that transformers would read a checkpoint with: the one that its `tokenizer_config.json` or `config.json` names, or the one of its kind
/// of model. Classes of models that are not read here are left out, and so is the base class, which has none.
pub(super) fn defaults(tokenizer_config: &Value, config: &Value, byte_level: bool) -> Tokens {
    let kind = config["model_type"].as_str().unwrap_or_default();
    let of_kind = match kind {
        "gpt2" => "GPT2Tokenizer",
        "qwen2" | "qwen3" => "Qwen2Tokenizer",
        "gemma" | "gemma2" | "gemma3" | "gemma3_text" => "GemmaTokenizer",
        "bert" | "distilbert" => "BertTokenizer",
        "roberta" => "RobertaTokenizer",
        _ => "",
    };
    let named = |config: &'_ Value| {
        let class = config["tokenizer_class"].as_str()?;
        Some(class.strip_suffix("Fast").unwrap_or(class).to_owned())
    };
    let class = match named(tokenizer_config).or_else(|| named(config)) {
        // Of these kinds the class that a checkpoint names is known to be wrong.
        Some(_) if kind == "qwen2" => of_kind.to_owned(),
        Some(_) if matches!(kind, "phi3" | "modernbert" | "mistral" | "mixtral") => return &[],
        // Llama 3's files name the class of Llama 2's.
        Some(class) if class == "LlamaTokenizer" && byte_level => return &[],
        Some(class) => class,
        None => of_kind.to_owned(),
    };
    match class.as_str() {
        "BertTokenizer" | "DistilBertTokenizer" => BERT,
        "RobertaTokenizer" | "XLMRobertaTokenizer" | "CamembertTokenizer" => ROBERTA,
        "LlamaTokenizer" | "CodeLlamaTokenizer" => LLAMA,
        "GPT2Tokenizer" => GPT2,
        "GPTNeoXTokenizer" => GPT_NEOX,
        "Qwen2Tokenizer" => QWEN2,
        "GemmaTokenizer" => GEMMA,
        _ => &[],
    }
}
