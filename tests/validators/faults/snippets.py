"""Faults of README.md that the checks R notice without running anything."""

from __future__ import annotations

from typing import Any

from faults.damage import TOPK, Damage, Fault, write_text


def card(code: str, language: str = "python") -> Damage:
    return write_text("README.md", f"# Tiny SAEs\n\n```{language}\n{code}\n```\n")


def card_of_a_flat_config(d: Any) -> None:
    card("sae = SAE.from_dict(cfg)\nsae.load_state_dict(load_file(path))")(d)
    d.edit_cfg("topk", lambda c: c.update(c.pop("metadata")))


def card_of_a_config_with_old_k(d: Any) -> None:
    card("sae = SAE.from_dict(cfg)")(d)
    d.edit_cfg("topk", lambda c: c.update(activation_fn_kwargs={"k": c.pop("k")}))


FAULTS = (
    Fault("R001", "indentation_lost", card("with open(path) as f:\ncfg = json.load(f)")),
    Fault("R001", "placeholder_that_is_no_python", card("sae_id = <your sae>")),
    Fault("R001", "one_line_of_brackets", card("(" * 30_000)),
    Fault("R001", "card_is_no_text", lambda d: (d.root / "README.md").write_bytes(b"\xff\xfe")),
    Fault("R002", "sae_of_another_name", card(
        'SAE.from_pretrained("tiny/saes", "tiny_topk_L2_mixed")')),
    Fault("R002", "repository_of_another_name", card(
        f'SAE.from_pretrained("tiny/sae", sae_id="{TOPK}")')),
    Fault("R002", "repository_of_a_template", card(
        f'SAE.from_pretrained(release="your-name/saes", sae_id="{TOPK}")')),
    Fault("R002", "file_that_is_not_there", card(
        f'repo_id, sae_id = "tiny/saes", "{TOPK}"\n'
        'hf_hub_download(repo_id, f"{sae_id}/sae.safetensors")')),
    Fault("R002", "folder_of_a_snapshot", card(
        'root = snapshot_download("tiny/saes")\nSAE.load_from_disk(Path(root) / "topk")')),
    Fault("R002", "path_on_the_disk_with_a_slip", card(
        'load_file("tiny_topk_L1_mixd/sae_weights.safetensors")')),
    Fault("R003", "not_strict", card("sae.load_state_dict(state, strict=False)")),
    Fault("R003", "pickle_with_code", card('state = torch.load("ae.pt", map_location="cpu")')),
    Fault("R003", "three_results", card(
        f'sae, cfg, sparsity = SAE.from_pretrained("tiny/saes", "{TOPK}")')),
    Fault("R004", "flat_config", card_of_a_flat_config),
    Fault("R004", "k_within_the_older_key", card_of_a_config_with_old_k),
)  # fmt: skip
