"""What the API takes and gives, with examples, for OpenAPI."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

EXAMPLE_ID = "3f6c0a4be1d94e0fb1a2c3d4e5f60718"
SENTENCE: dict[str, Any] = {
    "index": 0,
    "start_s": 0.0,
    "end_s": 3.4,
    "texts": {"eng_Latn": [{"text": "The farmer carries the beautiful bird.", "score": -0.047}]},
    "signer": {"box": [0, 0, 224, 224], "method": "whole picture"},
    "warnings": [],
    "corrections": {},
}


class Answer(BaseModel):
    """An answer."""

    model_config = ConfigDict(extra="allow")


class ErrorBody(BaseModel):
    """Why a request failed."""

    code: str = Field(examples=["queue_full"], description="A short name of the reason.")
    message: str = Field(examples=["the queue is full"], description="What was found, what was expected.")
    fix: str = Field(default="", examples=["try again in 5 s"], description="What to do next.")


class Error(BaseModel):
    """The body of every answer of 400 and above."""

    error: ErrorBody


class TranslateRequest(BaseModel):
    """Translate a video that lies on the server."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"video": "talk.mp4", "langs": ["eng_Latn"], "sentences": True}]},
    )

    video: str = Field(description="A name from GET /api/v1/videos.")
    model: str | None = Field(default=None, description="A name from GET /api/v1/models; by default the first.")
    langs: list[str] = Field(default_factory=list, max_length=210, description="FLORES-200 codes; by default English.")
    sentences: bool = Field(default=False, description="Find the sentences and translate each.")
    nbest: int = Field(default=1, ge=1, le=5, description="Texts per language.")
    rerank: bool = Field(default=False, description="Read four times, rank the texts, estimate their confidence.")


class Accepted(Answer):
    """A translation that was queued."""

    id: str = Field(examples=[EXAMPLE_ID])
    state: str = Field(examples=["queued"])


class Letter(Answer):
    """One letter of fingerspelling."""

    letter: str = Field(examples=["A"])
    confidence: float = Field(examples=[0.98], description="Probability while it is held, 0 to 1.")
    at: float = Field(examples=[0.25], description="Where in the sentence it is held, 0 (start) to 1 (end).")


class Hypothesis(Answer):
    """One text."""

    text: str = Field(examples=["The farmer carries the beautiful bird."])
    score: float = Field(examples=[-0.047], description="Mean log-probability of its tokens; higher is better.")
    agreement: float | None = Field(default=None, description="Cosine of text and video, with rerank.")
    confidence: float | None = Field(default=None, description="0 to 1, with rerank, where the model was calibrated.")
    letters: list[Letter] | None = Field(default=None, description="Of fingerspelling: each letter of the text.")


class Sentence(Answer):
    """One translated sentence, or a whole video."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [SENTENCE]})

    index: int
    start_s: float
    end_s: float
    texts: dict[str, list[Hypothesis]] = Field(description="Language → texts, best first.")
    signer: dict[str, Any] = Field(description="Where the signer is: box is left, top, right, bottom in pixels.")
    warnings: list[str]
    corrections: dict[str, str] = Field(default_factory=dict, description="Language → corrected text.")


class Translation(Answer):
    """A translation and what became of it."""

    id: str = Field(examples=[EXAMPLE_ID])
    name: str = Field(examples=["clip.mp4"])
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    position: int | None = Field(default=None, description="How many come before it while it waits.")
    stage: str = Field(default="", examples=["windows"], description="What is being counted.")
    done: int = 0
    total: int | None = None
    error: ErrorBody | None = None
    note: str = ""
    expires_s: float | None = Field(default=None, description="When it is removed, in seconds since 1970.")
    options: dict[str, Any]
    n_sentences: int
    sentences: list[Sentence] = Field(default_factory=list)


class Correction(BaseModel):
    """A corrected text; an empty one takes the correction back."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"text": "The farmer carries a bird."}]})

    text: Annotated[str, Field(max_length=2000)]


class Token(BaseModel):
    """The token that ``slt serve`` printed."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"token": "kZ3…"}]})

    token: Annotated[str, Field(max_length=300)]


class Session(Answer):
    """Whether a token is needed, and whether this client shows one."""

    needed: bool = Field(examples=[False])
    shown: bool = Field(examples=[True])


class Info(Answer):
    """What the server is, and its limits."""

    version: str = Field(examples=["0.1.0"])
    max_upload_bytes: int = Field(examples=[2_000_000_000])
    max_duration_s: float = Field(examples=[3600.0])
    keep_s: float = Field(examples=[86400.0], description="Finished translations are removed after so long.")
    data: str = Field(default="", description="Folder of all that is kept; told to this machine only.")
    videos: bool = Field(description="There are videos on the server that may be translated.")


class Model(Answer):
    """A model."""

    name: str = Field(examples=["demo"])
    summary: str
    licence: str = Field(examples=["Apache-2.0"])
    languages: list[str] = Field(examples=[["eng_Latn", "deu_Latn"]])
    extractor: str = Field(examples=["signhiera"])
    can_rerank: bool
    spells: bool = Field(default=False, description="It reads fingerspelling, letter by letter.")


class Language(Answer):
    """A language."""

    code: str = Field(examples=["deu_Latn"])
    name: str = Field(examples=["German"])


class ServerVideo(Answer):
    """A video on the server."""

    name: str = Field(examples=["talk.mp4"])
    size: int = Field(examples=[1_234_567])


class Health(Answer):
    """Whether the server works."""

    status: str = Field(examples=["ok"])
    queued: int
    running: int


class CorrectionList(Answer):
    """Corrected sentences."""

    n_corrections: int
    manifest: str = Field(default="", description="Where the manifest lies; told to this machine only.")
