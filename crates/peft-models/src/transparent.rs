//! Modules that choose between others without a trace in their paths.
//!
//! Burn's derive gives each variant of an enum a segment in the paths of its parameters. Where
//! checkpoints name the parameters of two architectures alike, the choice between them must not
//! show: a variant's parameters have the paths that they would have in its place.

/// Implements Burn's module traits for an enum of modules, each variant's parameters at the enum's
/// own path; the enum derives `Debug` and `Clone`.
macro_rules! transparent_module {
    ($name:ident { $($variant:ident),+ $(,)? }) => {
        impl burn::module::Module for $name {
            fn collect_devices(&self, devices: burn::module::Devices) -> burn::module::Devices {
                match self {
                    $(Self::$variant(module) => module.collect_devices(devices),)+
                }
            }

            fn fork(self, device: &burn::tensor::Device) -> Self {
                match self {
                    $(Self::$variant(module) => Self::$variant(module.fork(device)),)+
                }
            }

            fn to_device(self, device: &burn::tensor::Device) -> Self {
                match self {
                    $(Self::$variant(module) => Self::$variant(module.to_device(device)),)+
                }
            }

            fn train(self) -> Self {
                match self {
                    $(Self::$variant(module) => Self::$variant(module.train()),)+
                }
            }

            fn valid(&self) -> Self {
                match self {
                    $(Self::$variant(module) => Self::$variant(module.valid()),)+
                }
            }

            fn materialize(self) -> Self {
                match self {
                    $(Self::$variant(module) => Self::$variant(module.materialize()),)+
                }
            }

            fn visit<V: burn::module::ModuleVisitor>(&self, visitor: &mut V) {
                match self {
                    $(Self::$variant(module) => module.visit(visitor),)+
                }
            }

            fn map<M: burn::module::ModuleMapper>(self, mapper: &mut M) -> Self {
                match self {
                    $(Self::$variant(module) => Self::$variant(module.map(mapper)),)+
                }
            }
        }

        impl burn::module::ModuleDisplayDefault for $name {
            fn content(&self, content: burn::module::Content) -> Option<burn::module::Content> {
                match self {
                    $(Self::$variant(module) => burn::module::ModuleDisplayDefault::content(module, content),)+
                }
            }
        }

        impl burn::module::ModuleDisplay for $name {}

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Self::$variant(module) => std::fmt::Display::fmt(module, f),)+
                }
            }
        }
    };
}

pub(crate) use transparent_module;
