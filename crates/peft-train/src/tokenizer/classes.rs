//! [`Class`]: the class that transformers reads a checkpoint's tokenizer with: its special tokens
//! where no file names them, and whether it makes the steps of `tokenizer.json` anew.

use serde_json::Value;

/// Tokens by their names.
pub(super) type Tokens = &'static [(&'static str, &'static str)];

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

/// T5's.
const T5: Tokens = &[
    ("eos_token", "</s>"),
    ("unk_token", "<unk>"),
    ("pad_token", "<pad>"),
];

/// How a class makes a tokenizer of the vocabulary that `tokenizer.json` has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It takes the file as it is.
    File,
    /// In a way that is not known here, so that the file is taken as it is.
    Other,
    Bert,
    CodeLlama,
    Gemma,
    Gpt2,
    GptNeoX,
    Llama,
    Qwen2,
    Qwen3_5,
    Roberta,
    T5,
    XlmRoberta,
}

/// A class of transformers.
#[derive(Debug, Clone)]
pub(super) struct Class {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Its special tokens where no file names them.
    pub(super) tokens: Tokens,
}

/// The class that takes a file as it is.
const BACKEND: &str = "TokenizersBackend";

impl Class {
    /// The class that transformers would read a checkpoint with: the one that its
    /// `tokenizer_config.json` or `config.json` names, or the one of its kind of model; for some
    /// kinds of model the one that a checkpoint names is known to be wrong.
    pub(super) fn of(tokenizer_config: &Value, config: &Value, byte_level: bool) -> Self {
        let model = config["model_type"].as_str().unwrap_or_default();
        let registered = of_model(model);
        let named = |config: &'_ Value| {
            let class = config["tokenizer_class"].as_str()?;
            let class = class.strip_suffix("Fast").unwrap_or(class);
            (!class.is_empty()).then(|| class.to_owned())
        };
        let wrong = ["qwen2", "qwen3_5", "qwen3_5_text"].contains(&model);
        let name = match named(tokenizer_config).or_else(|| named(config)) {
            Some(named) if !wrong && registered != Some(BACKEND) => named,
            _ => registered.unwrap_or(BACKEND).to_owned(),
        };
        // Llama 3's files name the class of Llama 2's.
        if name == "LlamaTokenizer" && byte_level {
            return Self::new(BACKEND.into());
        }
        Self::new(name)
    }

    /// As it reads a tokenizer with this kind of model. No class makes one of whole words, so that
    /// such a file is taken as it is.
    pub(super) fn with_model(self, model: &Value) -> Self {
        match model.as_str() {
            Some("WordLevel") if self.kind != Kind::File => Self {
                kind: Kind::Other,
                ..self
            },
            _ => self,
        }
    }

    fn new(name: String) -> Self {
        let (kind, tokens): (_, Tokens) = match name.as_str() {
            "BertTokenizer"
            | "DistilBertTokenizer"
            | "ElectraTokenizer"
            | "LayoutLMTokenizer"
            | "LxmertTokenizer"
            | "MobileBertTokenizer"
            | "SqueezeBertTokenizer" => (Kind::Bert, BERT),
            "RobertaTokenizer"
            | "BartTokenizer"
            | "LEDTokenizer"
            | "LongformerTokenizer"
            | "MvpTokenizer" => (Kind::Roberta, ROBERTA),
            "XLMRobertaTokenizer" => (Kind::XlmRoberta, ROBERTA),
            "CamembertTokenizer" => (Kind::Other, ROBERTA),
            "LlamaTokenizer" | "Phi3Tokenizer" => (Kind::Llama, LLAMA),
            "CodeLlamaTokenizer" => (Kind::CodeLlama, LLAMA),
            "GPT2Tokenizer" => (Kind::Gpt2, GPT2),
            "GPTNeoXTokenizer" => (Kind::GptNeoX, GPT_NEOX),
            "Qwen2Tokenizer" => (Kind::Qwen2, QWEN2),
            "Qwen3_5Tokenizer" => (Kind::Qwen3_5, QWEN2),
            "GemmaTokenizer" => (Kind::Gemma, GEMMA),
            "T5Tokenizer" => (Kind::T5, T5),
            other if OTHERS.contains(&other) => (Kind::Other, &[]),
            _ => (Kind::File, &[]),
        };
        Self { name, kind, tokens }
    }
}

/// The class that transformers has for a kind of model, or none where it has none of its own.
fn of_model(model: &str) -> Option<&'static str> {
    Some(match model {
        "bert" | "convbert" | "distilbert" | "electra" | "ernie" | "megatron-bert"
        | "nomic_bert" | "squeezebert" => "BertTokenizer",
        "mobilebert" => "MobileBertTokenizer",
        "bart"
        | "data2vec-text"
        | "ibert"
        | "lilt"
        | "longformer"
        | "roberta"
        | "roberta-prelayernorm" => "RobertaTokenizer",
        "gte" | "jina_embeddings_v3" | "xlm-roberta" | "xmod" => "XLMRobertaTokenizer",
        "codegen" | "dbrx" | "gpt2" | "gpt_neo" | "gptj" | "opt" | "phi" | "starcoder2" => {
            "GPT2Tokenizer"
        }
        "falcon_mamba" | "gpt_neox" | "mamba" | "mamba2" | "mpt" | "olmo" | "olmoe" | "rwkv" => {
            "GPTNeoXTokenizer"
        }
        "qwen2" | "qwen2_5_vl" | "qwen2_moe" | "qwen2_vl" | "qwen3" | "qwen3_moe"
        | "qwen3_next" | "qwen3_vl" | "qwen3_vl_moe" => "Qwen2Tokenizer",
        "qwen3_5" | "qwen3_5_moe" | "qwen3_5_moe_text" | "qwen3_5_text" => "Qwen3_5Tokenizer",
        "gemma" | "gemma2" | "gemma3" | "gemma3_text" | "gemma3n" | "gemma3n_text"
        | "recurrent_gemma" | "t5gemma" => "GemmaTokenizer",
        "mt5" | "switch_transformers" | "t5" => "T5Tokenizer",
        "code_llama" => "CodeLlamaTokenizer",
        "albert" => "AlbertTokenizer",
        "camembert" => "CamembertTokenizer",
        "cohere" | "cohere2" => "CohereTokenizer",
        "deberta" => "DebertaTokenizer",
        "deberta-v2" => "DebertaV2Tokenizer",
        "mpnet" => "MPNetTokenizer",
        "arctic" | "flex_olmo" | "glm" | "glm4" | "glm4_moe" | "gpt_bigcode" | "granite"
        | "granitemoe" | "granitemoehybrid" | "internlm2" | "internlm3" | "jamba" | "llava"
        | "minicpm3" | "ministral" | "ministral3" | "mistral" | "mistral3" | "mixtral"
        | "modernbert" | "modernbert-decoder" | "nemotron" | "olmo2" | "olmo3" | "persimmon"
        | "phi3" | "phimoe" | "smolvlm" | "stablelm" | "umt5" | "xlm-roberta-xl" => BACKEND,
        _ => return None,
    })
}

/// Classes that make a tokenizer in a way of their own which is not known here.
const OTHERS: &[&str] = &[
    "AlbertTokenizer",
    "BarthezTokenizer",
    "BertJapaneseTokenizer",
    "BertweetTokenizer",
    "BigBirdTokenizer",
    "BlenderbotTokenizer",
    "CLIPTokenizer",
    "CodeGenTokenizer",
    "CohereTokenizer",
    "DebertaTokenizer",
    "DebertaV2Tokenizer",
    "EsmcTokenizer",
    "FunnelTokenizer",
    "HerbertTokenizer",
    "LasrTokenizer",
    "LayoutLMv2Tokenizer",
    "LayoutLMv3Tokenizer",
    "LayoutXLMTokenizer",
    "LukeTokenizer",
    "MBart50Tokenizer",
    "MBartTokenizer",
    "MLukeTokenizer",
    "MPNetTokenizer",
    "MarkupLMTokenizer",
    "NllbTokenizer",
    "NougatTokenizer",
    "OpenAIGPTTokenizer",
    "PegasusTokenizer",
    "PhobertTokenizer",
    "ReformerTokenizer",
    "RemBertTokenizer",
    "RoFormerTokenizer",
    "SeamlessM4TTokenizer",
    "SplinterTokenizer",
    "UdopTokenizer",
    "WhisperTokenizer",
    "XGLMTokenizer",
    "XLNetTokenizer",
];
