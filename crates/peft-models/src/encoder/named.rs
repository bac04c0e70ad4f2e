//! Modules with parameters that checkpoints name as no Rust field can be named, such as `self`.

/// Implements Burn's module traits for a struct as its derive would, but with the given names in
/// the paths of its parameters; the struct derives `Debug` and `Clone`. All its fields are modules.
macro_rules! named_module {
    ($name:ident { $($field:ident: $shown:literal),+ $(,)? }) => {
        impl burn::module::Module for $name {
            fn collect_devices(&self, devices: burn::module::Devices) -> burn::module::Devices {
                $(let devices = burn::module::Module::collect_devices(&self.$field, devices);)+
                devices
            }

            fn fork(self, device: &burn::tensor::Device) -> Self {
                Self { $($field: burn::module::Module::fork(self.$field, device),)+ }
            }

            fn to_device(self, device: &burn::tensor::Device) -> Self {
                Self { $($field: burn::module::Module::to_device(self.$field, device),)+ }
            }

            fn train(self) -> Self {
                Self { $($field: burn::module::Module::train(self.$field),)+ }
            }

            fn valid(&self) -> Self {
                Self { $($field: burn::module::Module::valid(&self.$field),)+ }
            }

            fn materialize(self) -> Self {
                Self { $($field: burn::module::Module::materialize(self.$field),)+ }
            }

            fn visit<V: burn::module::ModuleVisitor>(&self, visitor: &mut V) {
                let container = concat!("Struct:", stringify!($name));
                $(
                    visitor.enter_module($shown, container);
                    burn::module::Module::visit(&self.$field, visitor);
                    visitor.exit_module($shown, container);
                )+
            }

            fn map<M: burn::module::ModuleMapper>(self, mapper: &mut M) -> Self {
                let container = concat!("Struct:", stringify!($name));
                $(
                    mapper.enter_module($shown, container);
                    let $field = burn::module::Module::map(self.$field, mapper);
                    mapper.exit_module($shown, container);
                )+
                Self { $($field,)+ }
            }
        }

        impl burn::module::ModuleDisplayDefault for $name {
            fn content(&self, content: burn::module::Content) -> Option<burn::module::Content> {
                content
                    .set_top_level_type(stringify!($name))
                    $(.add($shown, &self.$field))+
                    .optional()
            }
        }

        impl burn::module::ModuleDisplay for $name {}

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&burn::module::ModuleDisplay::format(self, Default::default()))
            }
        }
    };
}

pub(super) use named_module;

#[cfg(test)]
mod tests {
    use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::{Device, Tensor};

    #[derive(Debug, Clone)]
    struct Pair {
        self_: Linear,
        crate_: Option<Linear>,
    }

    named_module!(Pair {
        self_: "self",
        crate_: "crate"
    });

    #[derive(Module, Debug)]
    struct Outer {
        pair: Pair,
        last: Linear,
    }

    /// The paths as a visitor and a mapper see them, with the containers.
    #[derive(Default)]
    struct Paths(Vec<String>, Vec<String>);

    impl ModuleVisitor for Paths {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.0.push(format!("{name}<{container}>"));
        }
        fn exit_module(&mut self, name: &str, container: &str) {
            assert_eq!(self.0.pop(), Some(format!("{name}<{container}>")));
        }
        fn visit_float<const D: usize>(&mut self, _param: &Param<Tensor<D>>) {
            self.1.push(self.0.join("."));
        }
    }

    impl ModuleMapper for Paths {
        fn enter_module(&mut self, name: &str, container: &str) {
            ModuleVisitor::enter_module(self, name, container);
        }
        fn exit_module(&mut self, name: &str, container: &str) {
            ModuleVisitor::exit_module(self, name, container);
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            self.visit_float(&param);
            param.map(|tensor| tensor.mul_scalar(2.0))
        }
    }

    #[test]
    fn it_is_what_the_derive_makes_but_for_the_names() {
        let device = Device::flex().autodiff();
        let linear = || LinearConfig::new(2, 3).with_bias(false).init(&device);
        let outer = Outer {
            pair: Pair {
                self_: linear(),
                crate_: Some(linear()),
            },
            last: linear(),
        };
        let expected = ["self", "crate"]
            .map(|name| format!("pair<Struct:Outer>.{name}<Struct:Pair>.weight<Struct:Linear>"))
            .into_iter()
            .chain(["last<Struct:Outer>.weight<Struct:Linear>".to_owned()])
            .collect::<Vec<_>>();
        let mut seen = Paths::default();
        outer.visit(&mut seen);
        assert_eq!(seen.1, expected);
        let mut mapped = Paths::default();
        let doubled = outer.clone().map(&mut mapped);
        assert_eq!(mapped.1, expected);

        let read = |linear: &Linear| linear.weight.val().into_data();
        let twice = |linear: &Linear| linear.weight.val().mul_scalar(2.0).into_data();
        assert_eq!(read(&doubled.pair.self_), twice(&outer.pair.self_));
        let [new, old] = [&doubled, &outer].map(|outer| outer.pair.crate_.as_ref().expect("some"));
        assert_eq!(read(new), twice(old));

        assert_eq!(outer.num_params(), 18);
        let plain = outer.valid();
        assert!(!plain.pair.self_.weight.val().is_autodiff());
        assert!(plain.train().pair.self_.weight.val().is_require_grad());
        assert!(!outer.clone().no_grad().pair.self_.weight.is_require_grad());
        assert!(outer.to_string().contains("self: Linear"), "{outer}");
    }
}
