//! [`AdapterConfig`]: the methods that are registered, and every choice by method.

use std::path::Path;

use burn::module::Module;
use peft_core::{
    Adapter, AttachReport, ForwardPath, PeftError, Placed, Placement, TokenRowsConfig,
};
use peft_ia3::Ia3Config;
use peft_lora::{
    AdaLoraConfig, DeloraConfig, GraloraConfig, HiraConfig, LoraConfig, MissConfig, ShiraConfig,
};
use peft_lycoris::{LoHaConfig, LoKrConfig};
use peft_model::Transformer;
use peft_oft::{BoftConfig, HraConfig, OftConfig, RoadConfig};
use peft_prefix::{PrefixConfig, Prefixed};
use peft_ptuning::{PTuningConfig, PromptTuningConfig, Prompted};
use peft_spectral::{C3aConfig, FourierFtConfig, WaveFtConfig};
use peft_vera::{RandLoraConfig, VbloraConfig, VeraConfig};
use serde_json::{Map, Value, json};

use super::files::AdapterFiles;
use super::input::{attach_input, save_input};
use super::methods::{InputMethod, WeightMethod};
use super::weights::{attach_weights, save_weights};
use super::{Adaptable, AdapterFileError, AdapterInfo};
use crate::fields::{FieldError, Fields};

/// Makes [`AdapterConfig`] of the methods: those that adapt weights, each of which has a
/// `WeightMethod`, and by the wrapper of a model those that adapt what it reads, each of which has
/// an `InputMethod`.
macro_rules! methods {
    (
        weights { $($(#[$weights_doc:meta])* $Weights:ident($WeightsConfig:ty),)+ }
        $(
            $(#[$attach_doc:meta])*
            $Wrapper:ident, $attach:ident, $attach_of:ident, $save:ident,
            |$model:ident| $room:expr, {
                $($(#[$input_doc:meta])* $Input:ident($InputConfig:ty),)+
            }
        )+
    ) => {
        /// A method with its config.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum AdapterConfig {
            $($(#[$weights_doc])* $Weights($WeightsConfig),)+
            $($($(#[$input_doc])* $Input($InputConfig),)+)+
        }

        $(impl From<$WeightsConfig> for AdapterConfig {
            fn from(config: $WeightsConfig) -> Self {
                Self::$Weights(config)
            }
        })+
        $($(impl From<$InputConfig> for AdapterConfig {
            fn from(config: $InputConfig) -> Self {
                Self::$Input(config)
            }
        })+)+

        /// The methods, as PEFT names them.
        pub(super) const PEFT_TYPES: &[&str] = &[
            $(<$WeightsConfig>::PEFT_TYPE,)+
            $($(<$InputConfig>::PEFT_TYPE,)+)+
        ];

        /// The config of the method that a file names.
        pub(super) fn read(
            method: &str,
            fields: &Fields<'_>,
        ) -> Option<Result<AdapterConfig, FieldError>> {
            $(if method == <$WeightsConfig>::PEFT_TYPE {
                return Some(WeightMethod::read(fields).map(AdapterConfig::$Weights));
            })+
            $($(if method == <$InputConfig>::PEFT_TYPE {
                return Some(InputMethod::read(fields).map(AdapterConfig::$Input));
            })+)+
            None
        }

        /// Put PEFT's layers for this family, a `model_type`, in the place of lists that are
        /// missing or null.
        ///
        /// They are those of its `TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING` and of its
        /// tables for other methods; of a family that is in none the lists stay away.
        pub(super) fn complete(fields: &mut Map<String, Value>, family: &str) {
            let method = fields.get("peft_type").and_then(Value::as_str);
            let lists = match method {
                $(Some(<$WeightsConfig>::PEFT_TYPE) => <$WeightsConfig>::default_targets(family),)+
                _ => return,
            };
            for (field, names) in lists {
                if let None | Some(Value::Null) = fields.get(field) {
                    fields.insert(field.into(), json!(names));
                }
            }
        }

        /// Whether tensors of a method that adapts weights are called so in a key.
        pub(super) fn is_tensor(name: &str) -> bool {
            let all = [$(<$WeightsConfig>::TENSORS,)+];
            all.iter().any(|names| names.contains(&name))
        }

        impl AdapterConfig {
            /// Where the adapters go, of a method that adapts weights.
            pub fn placement(&self) -> Option<&Placement> {
                match self {
                    $(Self::$Weights(config) => Some(Placed::placement(config)),)+
                    $($(Self::$Input(_) => None,)+)+
                }
            }

            /// Where the adapters go, to change it, of a method that adapts weights.
            pub fn placement_mut(&mut self) -> Option<&mut Placement> {
                match self {
                    $(Self::$Weights(config) => Some(Placed::placement_mut(config)),)+
                    $($(Self::$Input(_) => None,)+)+
                }
            }

            /// The modules, by suffix, that train whole.
            pub fn modules_to_save(&self) -> &[String] {
                match self {
                    $(Self::$Weights(config) => &Placed::placement(config).whole_modules,)+
                    $($(Self::$Input(config) => InputMethod::modules_to_save(config),)+)+
                }
            }

            /// How many positions the method takes from a text: none if it adapts weights.
            pub fn n_virtual_tokens(&self) -> usize {
                match self {
                    $(Self::$Weights(_) => 0,)+
                    $($(Self::$Input(config) => InputMethod::n_virtual_tokens(config),)+)+
                }
            }

            /// The method's name.
            pub fn method(&self) -> &'static str {
                match self {
                    $(Self::$Weights(_) => {
                        <<$WeightsConfig as WeightMethod>::Adapter as Adapter>::NAME
                    })+
                    $($(Self::$Input(_) => <$InputConfig as InputMethod>::NAME,)+)+
                }
            }

            /// What the method's tensors are called in a key, behind a layer's path.
            pub fn tensor_names(&self) -> &'static [&'static str] {
                match self {
                    $(Self::$Weights(_) => <$WeightsConfig>::TENSORS,)+
                    $($(Self::$Input(_) => &[],)+)+
                }
            }

            /// Attach fresh adapters of this config to a model's weights.
            ///
            /// # Errors
            ///
            /// A [`PeftError`], with the model untouched; [`PeftError::AttachesElsewhere`] for a
            /// method that adapts what a model reads.
            pub fn attach<M: Module>(
                &self,
                model: &mut M,
                name: &str,
            ) -> Result<AttachReport, PeftError> {
                match self {
                    $(Self::$Weights(config) => WeightMethod::attach(config, model, name),)+
                    $($(Self::$Input(_))|+)|+ => Err(self.elsewhere()),
                }
            }

            /// Attach the adapters of a directory to a model's weights.
            pub(super) fn attach_of<M: Module>(
                &self,
                files: &AdapterFiles,
                model: &mut M,
                name: &str,
                path: ForwardPath,
            ) -> Result<AttachReport, AdapterFileError> {
                match self {
                    $(Self::$Weights(config) => attach_weights(files, config, model, name, path),)+
                    $($(Self::$Input(_))|+)|+ => Err(self.elsewhere().into()),
                }
            }

            /// Write the adapters of a model's weights as a directory.
            pub(super) fn save<M: Module>(
                &self,
                model: &M,
                name: &str,
                about: &AdapterInfo,
                dir: &Path,
            ) -> Result<(), AdapterFileError> {
                match self {
                    $(Self::$Weights(config) => save_weights(model, name, config, about, dir),)+
                    $($(Self::$Input(_))|+)|+ => Err(self.elsewhere().into()),
                }
            }

            /// Attach a fresh adapter of this config, of whatever kind.
            ///
            /// # Errors
            ///
            /// A [`PeftError`], with the model untouched.
            pub fn attach_any<M: Transformer>(
                &self,
                model: &mut Adaptable<M>,
                name: &str,
            ) -> Result<AttachReport, PeftError> {
                match self {
                    $(Self::$Weights(config) => WeightMethod::attach(config, model, name),)+
                    $($(Self::$Input(config) => {
                        let $model = model;
                        InputMethod::attach(config, &mut $room, name)
                    })+)+
                }
            }

            /// Attach what a directory holds, of whatever kind.
            pub(super) fn attach_any_of<M: Transformer>(
                &self,
                files: &AdapterFiles,
                model: &mut Adaptable<M>,
                name: &str,
            ) -> Result<AttachReport, AdapterFileError> {
                let path = ForwardPath::Factored;
                match self {
                    $(Self::$Weights(config) => attach_weights(files, config, model, name, path),)+
                    $($(Self::$Input(config) => {
                        let $model = model;
                        attach_input(files, config, &mut $room, name)
                    })+)+
                }
            }

            /// Write adapter `name` of `model`, of whatever kind, as
            /// [`save_adapter`](crate::save_adapter) writes one of weights.
            ///
            /// # Errors
            ///
            /// An [`AdapterFileError`]; files that were there before are then as they were, or
            /// already replaced as a whole.
            pub fn save_any<M: Transformer>(
                &self,
                model: &Adaptable<M>,
                name: &str,
                about: &AdapterInfo,
                dir: impl AsRef<Path>,
            ) -> Result<(), AdapterFileError> {
                let dir = dir.as_ref();
                match self {
                    $(Self::$Weights(config) => save_weights(model, name, config, about, dir),)+
                    $($(Self::$Input(config) => {
                        let $model = model;
                        save_input(&$room, name, config, about, dir)
                    })+)+
                }
            }

            $(
                $(#[$attach_doc])*
                ///
                /// # Errors
                ///
                /// A [`PeftError`], with the model untouched; [`PeftError::AttachesElsewhere`] for
                /// another method.
                pub fn $attach<M: Transformer>(
                    &self,
                    model: &mut $Wrapper<M>,
                    name: &str,
                ) -> Result<AttachReport, PeftError> {
                    match self {
                        $(Self::$Input(config) => InputMethod::attach(config, model, name),)+
                        other => Err(other.elsewhere()),
                    }
                }

                /// The same of what a directory holds.
                pub(super) fn $attach_of<M: Transformer>(
                    &self,
                    files: &AdapterFiles,
                    model: &mut $Wrapper<M>,
                    name: &str,
                ) -> Result<AttachReport, AdapterFileError> {
                    match self {
                        $(Self::$Input(config) => attach_input(files, config, model, name),)+
                        other => Err(other.elsewhere().into()),
                    }
                }

                /// Write it as a directory.
                pub(super) fn $save<M: Transformer>(
                    &self,
                    model: &$Wrapper<M>,
                    name: &str,
                    about: &AdapterInfo,
                    dir: &Path,
                ) -> Result<(), AdapterFileError> {
                    match self {
                        $(Self::$Input(config) => save_input(model, name, config, about, dir),)+
                        other => Err(other.elsewhere().into()),
                    }
                }
            )+

            /// The error of attaching to what the method does not act on.
            fn elsewhere(&self) -> PeftError {
                PeftError::AttachesElsewhere {
                    method: self.method(),
                    place: match self {
                        $(Self::$Weights(_))|+ => {
                            "a model's weights, and not to what it reads, for `attach` and `save_adapter`"
                        }
                        $($(Self::$Input(_))|+ => concat!(
                            "what a model reads, and not to its weights; put the model in a `",
                            stringify!($Wrapper), "`, for `", stringify!($attach), "` and `",
                            stringify!($save), "`"
                        ),)+
                    },
                }
            }
        }
    };
}

methods! {
    weights {
        /// LoRA.
        Lora(LoraConfig),
        /// AdaLoRA.
        AdaLora(AdaLoraConfig),
        /// IA3.
        Ia3(Ia3Config),
        /// Rows of an embedding.
        TokenRows(TokenRowsConfig),
        /// LoHa.
        LoHa(LoHaConfig),
        /// LoKr.
        LoKr(LoKrConfig),
        /// VeRA.
        Vera(VeraConfig),
        /// RandLoRA.
        RandLora(RandLoraConfig),
        /// VB-LoRA.
        Vblora(VbloraConfig),
        /// OFT.
        Oft(OftConfig),
        /// BOFT.
        Boft(BoftConfig),
        /// HRA.
        Hra(HraConfig),
        /// RoAd.
        Road(RoadConfig),
        /// MiSS.
        Miss(MissConfig),
        /// HiRA.
        Hira(HiraConfig),
        /// DeLoRA.
        Delora(DeloraConfig),
        /// GraLoRA.
        Gralora(GraloraConfig),
        /// SHiRA.
        Shira(ShiraConfig),
        /// FourierFT.
        FourierFt(FourierFtConfig),
        /// C3A.
        C3a(C3aConfig),
        /// WaveFT.
        WaveFt(WaveFtConfig),
    }
    /// Put a fresh soft prompt of this config before a model.
    Prompted, attach_prompt, attach_prompt_of, save_prompt, |model| *model, {
        /// Prompt tuning.
        PromptTuning(PromptTuningConfig),
        /// P-Tuning.
        PTuning(PTuningConfig),
    }
    /// Put a fresh prefix of this config before a model.
    Prefixed, attach_prefix, attach_prefix_of, save_prefix, |model| model.model, {
        /// Prefix tuning.
        Prefix(PrefixConfig),
    }
}
