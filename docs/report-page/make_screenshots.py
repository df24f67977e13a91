"""The pictures of this folder, taken anew; look at each before they are kept.

    release report --all --out SITE
    python docs/report-page/make_screenshots.py SITE

SITE holds the pages of this repository's manifests, the demonstration's among them with its build.
"""

from __future__ import annotations

import argparse
import io
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

HERE = Path(__file__).resolve().parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "msedge")
WINDOW, PHONE = (1360, 1000), (390, 844)
DEMO = "repositories/demo-smollm2-135m-instruct.html"
STUDY = ("tinyllama-1-1b", "smollm2-135m", "nanochat-d32", "gemma4-e2b-gf1")


@dataclass(frozen=True)
class Shot:
    """One picture: of which page from which place on, in which colours, of which size."""

    name: str
    page: str
    scheme: str
    size: tuple[int, int]
    anchor: str = ""


def shots() -> list[Shot]:
    """The overview and all SAEs, the demonstration part by part, each manifest in three ways."""
    found = []
    for way, scheme, size in (
        ("light", "light", WINDOW),
        ("dark", "dark", WINDOW),
        ("phone", "light", PHONE),
    ):
        found += [
            Shot(f"overview-{way}", "index.html", scheme, size),
            Shot(f"all-saes-{way}", "saes.html", scheme, size),
            Shot(f"demo-{way}", DEMO, scheme, size),
            Shot(f"demo-map-{way}", DEMO, scheme, size, "#map"),
            Shot(f"demo-findings-{way}", DEMO, scheme, size, "#findings"),
            Shot(f"demo-one-sae-{way}", DEMO, scheme, size, "#sae-smollm2_jumprelu_L18_mixed"),
        ]
        found += [
            Shot(f"{name}-{way}", f"repositories/{name}.html", scheme, size) for name in STUDY
        ]
    return found


def main() -> None:
    """Take every picture and write it as a PNG of at most 256 colours."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("site", type=Path)
    site = parser.parse_args().site.resolve()
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found)
        for shot in shots():
            target = HERE / f"{shot.name}.png"
            target.write_bytes(small_png(picture(browser, site, shot)))
            print(f"{target.name} {target.stat().st_size / 1e3:.0f} kB")
        browser.close()


def picture(browser: Any, site: Path, shot: Shot) -> bytes:
    """What the window shows."""
    width, height = shot.size
    context = browser.new_context(
        color_scheme=shot.scheme,
        viewport={"width": width, "height": height},
        device_scale_factor=2 if shot.size == PHONE else 1,
    )
    page = context.new_page()
    page.goto((site / shot.page).as_uri() + shot.anchor)
    # The fonts and the plots are there with the load event; one more frame draws them.
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 200)))")
    content: bytes = page.screenshot()
    context.close()
    return content


def small_png(content: bytes) -> bytes:
    """The picture with 256 colours of its own."""
    stream = io.BytesIO()
    image = Image.open(io.BytesIO(content)).convert("RGB")
    image.quantize(256, dither=Image.Dither.NONE).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


if __name__ == "__main__":
    main()
