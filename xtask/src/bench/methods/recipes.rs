//! The methods that are measured, with their flags and rates.

/// A method: its name in the table, its flags, and its rates on a decoder and on an encoder.
pub(super) struct Recipe {
    pub(super) name: &'static str,
    pub(super) flags: &'static str,
    pub(super) rates: [&'static str; 2],
}

const fn recipe(name: &'static str, flags: &'static str, rates: [&'static str; 2]) -> Recipe {
    Recipe { name, flags, rates }
}

pub(super) const RECIPES: [Recipe; 37] = [
    recipe("LoRA, r=8", "--method lora --rank 8", ["5e-3", "1e-3"]),
    recipe(
        "DoRA, r=8",
        "--method lora --dora --rank 8",
        ["5e-3", "1e-3"],
    ),
    recipe(
        "LoRA-FA, r=8",
        "--method lora --lora-fa --rank 8",
        ["5e-3", "1e-3"],
    ),
    recipe(
        "PiSSA, r=8",
        "--method lora --lora-init pissa --rank 8",
        ["5e-3", "1e-3"],
    ),
    recipe(
        "AdaLoRA, r=8",
        "--method adalora --rank 8",
        ["1e-2", "1e-3"],
    ),
    recipe("LoHa, r=8", "--method loha --rank 8", ["1e-2", "3e-3"]),
    recipe("LoKr, r=8", "--method lokr --rank 8", ["1e-2", "3e-3"]),
    recipe("VeRA, r=256", "--method vera", ["3e-2", "1e-2"]),
    recipe("RandLoRA, r=32", "--method randlora", ["1e-3", "1e-3"]),
    recipe("VB-LoRA, r=4", "--method vblora", ["1e-2", "1e-2"]),
    recipe("OFT, blocks of 32", "--method oft", ["3e-3", "3e-3"]),
    recipe("BOFT, blocks of 4", "--method boft", ["3e-2", "3e-3"]),
    recipe("HRA, r=8", "--method hra --rank 8", ["3e-2", "3e-3"]),
    recipe("RoAd", "--method road", ["3e-2", "1e-2"]),
    recipe("MiSS, r=8", "--method miss --rank 8", ["3e-3", "1e-3"]),
    recipe("HiRA, r=8", "--method hira --rank 8", ["3e-2", "3e-3"]),
    recipe("DeLoRA, r=8", "--method delora --rank 8", ["3e-3", "1e-3"]),
    recipe(
        "GraLoRA, r=8",
        "--method gralora --rank 8",
        ["3e-3", "1e-3"],
    ),
    recipe("SHiRA, r=8", "--method shira --rank 8", ["1e-2", "1e-3"]),
    recipe("FourierFT", "--method fourierft", ["1e-1", "3e-2"]),
    recipe("C3A", "--method c3a", ["1", "1e-1"]),
    recipe("WaveFT", "--method waveft", ["3e-4", "3e-4"]),
    recipe("IA3", "--method ia3", ["3e-2", "1e-2"]),
    recipe(
        "prompt tuning, 20",
        "--method prompt-tuning",
        ["1e-1", "1e-2"],
    ),
    recipe("P-Tuning, 20, MLP", "--method p-tuning", ["1e-2", "3e-3"]),
    recipe(
        "prefix tuning, 20",
        "--method prefix-tuning",
        ["1e-1", "1e-2"],
    ),
    recipe(
        "prefix tuning, 20, projected",
        "--method prefix-tuning --prefix-projection",
        ["1e-2", "3e-3"],
    ),
    recipe("full", "--method full", ["1e-3", "3e-4"]),
    recipe("head", "--method head", ["5e-3", "3e-3"]),
    recipe(
        "top-layers 2",
        "--method top-layers --layers 2",
        ["3e-3", "3e-4"],
    ),
    recipe(
        "top-layers 2, cached trunk",
        "--method top-layers --layers 2 --cache-trunk",
        ["3e-3", "3e-4"],
    ),
    recipe(
        "freeze-bottom 1",
        "--method freeze-bottom --layers 1",
        ["3e-3", "2e-4"],
    ),
    recipe("gradual", "--method gradual --every 100", ["3e-3", "2e-4"]),
    recipe(
        "LISA, 1 block",
        "--method lisa --layers 1 --every 25",
        ["1e-3", "3e-4"],
    ),
    recipe("BAdam", "--method badam --every 25", ["3e-3", "3e-4"]),
    recipe("bitfit", "--method bitfit", ["1e-2", "1e-2"]),
    recipe("norms", "--method norms", ["3e-2", "1e-2"]),
];
