"""Render the gallery's cards again, and show each as a page in a browser.

    python docs/gallery/make_gallery.py [--build build] [--browser chromium]

Each card is copied from its build folder, where `release render --all` put it. With a browser on
the machine, a picture of each page is taken, on a dark ground as well where there are figures.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from markdown_it import MarkdownIt
from PIL import Image

HERE = Path(__file__).resolve().parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
WIDTH_PX = 1012
TALLEST_PX = 16_000
N_COLOURS = 256

_FRONT_MATTER = re.compile(r"\A---\n(?P<yaml>.*?)\n---\n", re.DOTALL)
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
:root {{ --ink: #1f2328; --ground: #ffffff; --line: #d1d9e0; --faint: #f6f8fa; --link: #0969da; }}
.dark {{ --ink: #e6edf3; --ground: #0d1117; --line: #3d444d; --faint: #151b23; --link: #4493f8; }}
body {{ margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.5 "Noto Sans", "DejaVu Sans", sans-serif; }}
main {{ max-width: 900px; margin: 0 auto; padding: 32px 48px; }}
h1, h2 {{ border-bottom: 1px solid var(--line); padding-bottom: .3em; }}
h1, h2, h3 {{ line-height: 1.25; margin: 24px 0 16px; }}
a {{ color: var(--link); }}
table {{ border-collapse: collapse; display: block; overflow-x: auto; width: max-content;
  max-width: 100%; margin: 0 0 16px; }}
th, td {{ border: 1px solid var(--line); padding: 6px 13px; }}
tr:nth-child(2n) td {{ background: var(--faint); }}
code {{ font: 85% "DejaVu Sans Mono", monospace; background: var(--faint); padding: .2em .4em;
  border-radius: 6px; }}
pre {{ background: var(--faint); padding: 16px; overflow-x: auto; border-radius: 6px; }}
pre code {{ padding: 0; }}
img {{ max-width: 100%; }}
</style></head>
<body class="{theme}"><main>{body}</main>
<script>document.title = "height=" + document.documentElement.scrollHeight;</script>
</body></html>
"""


def main() -> int:
    """Copy the cards, and take the pictures where there is a browser."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=HERE.parents[1] / "build")
    parser.add_argument("--browser", help="the browser's program; by default the first one found")
    options = parser.parse_args()
    browser = options.browser or next(filter(None, map(shutil.which, BROWSERS)), None)
    names = yaml.safe_load((HERE / "cards.yaml").read_text(encoding="utf-8"))
    for name in names:
        copy_card(options.build / name / "repository", HERE / name)
        if browser is None:
            continue
        # Only figures have colours of their own.
        themes = ("light", "dark") if (HERE / name / "figures").is_dir() else ("light",)
        for theme in themes:
            picture = HERE / name / f"page-{theme}.png"
            size = photograph(HERE / name, picture, theme=theme, browser=browser)
            print(f"{picture.relative_to(HERE)}: {size[0]} x {size[1]} px")
    if browser is None:
        print("no browser was found, so no picture was taken", file=sys.stderr)
    return 0


def copy_card(repository: Path, folder: Path) -> None:
    """Bring a card and its figures into the gallery, in place of those that were there."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    shutil.copyfile(repository / "README.md", folder / "README.md")
    if (repository / "figures").is_dir():
        shutil.copytree(repository / "figures", folder / "figures")


def photograph(folder: Path, picture: Path, *, theme: str, browser: str) -> tuple[int, int]:
    """A picture of the whole page; returns its width and height in pixels."""
    with tempfile.TemporaryDirectory(prefix="sae-release-", ignore_cleanup_errors=True) as scratch:
        page = Path(scratch) / "card" / "page.html"
        shutil.copytree(folder, page.parent)
        page.write_text(html_page(folder / "README.md", theme=theme), encoding="utf-8")
        command = [
            *(browser, "--headless=new", "--disable-gpu", "--no-sandbox", "--hide-scrollbars"),
            f"--user-data-dir={Path(scratch) / 'profile'}",
        ]
        shown = subprocess.run(
            [*command, f"--window-size={WIDTH_PX},800", "--dump-dom", page.as_uri()],
            check=True,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
        ).stdout
        found = re.search(r"<title>height=(\d+)</title>", shown)
        if found is None:
            raise SystemExit(f"{browser} did not say how tall {folder.name} is")
        height = min(int(found[1]), TALLEST_PX)
        taken = Path(scratch) / "page.png"
        subprocess.run(
            [
                *command,
                f"--window-size={WIDTH_PX},{height}",
                f"--screenshot={taken}",
                page.as_uri(),
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )
        with Image.open(taken) as image:
            # A page of text has few colours; a palette makes the file a fraction of its size.
            reduced = image.convert("RGB").quantize(N_COLOURS, method=Image.Quantize.FASTOCTREE)
            reduced.save(picture, optimize=True)
            return image.size


def html_page(readme: Path, *, theme: str) -> str:
    """A card as a page, without its front matter."""
    text = readme.read_text(encoding="utf-8")
    found = _FRONT_MATTER.match(text)
    body = text[found.end() :] if found else text
    # The card's own comment is not shown by the Hub either.
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    markdown = MarkdownIt("commonmark").enable("table")
    return _PAGE.format(title=readme.parent.name, theme=theme, body=markdown.render(body))


if __name__ == "__main__":
    raise SystemExit(main())
