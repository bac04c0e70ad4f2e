//! What was saved, of whatever kind, in three lines: opened, attached, saved.
//!
//! `cargo run --release -p peft-store --example any_adapter -- MODEL ADAPTER OUT`; without
//! arguments it makes adapters of two kinds for the demo's model and copies both.

use std::error::Error;
use std::path::Path;

use burn::tensor::{DType, Device};
use peft_core::{Placed, Targets};
use peft_lora::LoraConfig;
use peft_prefix::PrefixConfig;
use peft_store::{AdapterConfig, AdapterInfo, Checkpoint, SavedAdapter, TaskType, adaptable};

fn copy(model: &Path, adapter: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    let mut model = adaptable(Checkpoint::open(model)?.load(&Device::flex(), DType::F32)?);

    let saved = SavedAdapter::open(adapter)?;
    let attached = saved.attach(&mut model, "default")?;
    attached.save(&model, out)?;

    println!("{} in {}", saved.method(), out.display());
    Ok(())
}

/// A fresh adapter of each of two kinds.
fn make(model: &Path, dir: &Path) -> Result<[AdapterConfig; 2], Box<dyn Error>> {
    let lora = LoraConfig::new(4, 8.0).with_targets(Targets::suffixes(["q_proj", "v_proj"]));
    let configs = [lora.into(), PrefixConfig::new(3).into()];
    for config in &configs {
        let config: &AdapterConfig = config;
        let mut model = adaptable(Checkpoint::open(model)?.load(&Device::flex(), DType::F32)?);
        println!("{}", config.attach_any(&mut model, "default")?);
        let about = AdapterInfo::new()
            .with_base("demo")
            .with_task(TaskType::CausalLm);
        config.save_any(&model, "default", &about, dir.join(config.method()))?;
    }
    Ok(configs)
}

fn main() -> Result<(), Box<dyn Error>> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    if let [model, adapter, out] = given.as_slice() {
        return copy(Path::new(model), Path::new(adapter), Path::new(out));
    }
    demo()
}

fn demo() -> Result<(), Box<dyn Error>> {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../peft-cli/assets/model");
    let dir = std::env::temp_dir().join(format!("any-adapter-{}", std::process::id()));
    for config in make(&model, &dir)? {
        let (from, to) = (dir.join(config.method()), dir.join("copy"));
        copy(&model, &from, &to)?;
        for file in ["adapter_config.json", "adapter_model.safetensors"] {
            assert_eq!(
                std::fs::read(from.join(file))?,
                std::fs::read(to.join(file))?
            );
        }
    }
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

#[test]
fn it_runs() {
    demo().expect("it runs");
}
