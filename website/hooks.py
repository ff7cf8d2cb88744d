"""What MkDocs calls while it builds the documentation site: pages made from the code, and equations as MathML.

    mkdocs build --strict

Nothing is fetched by the pages that come out: no fonts, scripts or styles from elsewhere.
"""

import component_pages
import included
import mathml
import recipe_reference
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made: of the recipe's schema, of every installed component, of files outside docs/."""
    made = {"reference/recipe.md": recipe_reference.page(), **component_pages.pages(), **included.pages()}
    for path, text in made.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links that lead out of docs/ lead to the page that was made of that file."""
    return included.relinked(markdown, page.file.src_uri)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Equations, in what browsers show without a script."""
    return mathml.rendered(html)
