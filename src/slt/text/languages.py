"""The 202 languages of SONAR's text models: FLORES-200 codes, names and aliases.

Reference: NLLB Team 2022 (arXiv 2207.04672), table of languages. The order is that of SONAR's tokenizer card, which
determines the ids of the language tokens.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Sequence
from types import MappingProxyType

from slt.core.errors import UserError

# One line each: code | English name | other names and ISO 639 codes.
_TABLE = """
ace_Arab | Acehnese (Arabic script) | aceh
ace_Latn | Acehnese (Latin script) | aceh
acm_Arab | Mesopotamian Arabic | iraqi arabic
acq_Arab | Ta'izzi-Adeni Arabic | yemeni arabic
aeb_Arab | Tunisian Arabic |
afr_Latn | Afrikaans | af
ajp_Arab | South Levantine Arabic | palestinian arabic, jordanian arabic
aka_Latn | Akan | ak
amh_Ethi | Amharic | am
apc_Arab | North Levantine Arabic | lebanese arabic, syrian arabic
arb_Arab | Modern Standard Arabic | ar, ara, arabic
ars_Arab | Najdi Arabic | saudi arabic
ary_Arab | Moroccan Arabic | darija
arz_Arab | Egyptian Arabic |
asm_Beng | Assamese | as
ast_Latn | Asturian |
awa_Deva | Awadhi |
ayr_Latn | Central Aymara | ay, aym, aymara
azb_Arab | South Azerbaijani | azerbaijani
azj_Latn | North Azerbaijani | az, aze, azerbaijani
bak_Cyrl | Bashkir | ba
bam_Latn | Bambara | bm
ban_Latn | Balinese |
bel_Cyrl | Belarusian | be
bem_Latn | Bemba |
ben_Beng | Bengali | bn, bangla
bho_Deva | Bhojpuri |
bjn_Arab | Banjar (Arabic script) |
bjn_Latn | Banjar (Latin script) |
bod_Tibt | Standard Tibetan | bo, tibetan
bos_Latn | Bosnian | bs
bug_Latn | Buginese |
bul_Cyrl | Bulgarian | bg
cat_Latn | Catalan | ca, valencian
ceb_Latn | Cebuano |
ces_Latn | Czech | cs, cze
cjk_Latn | Chokwe |
ckb_Arab | Central Kurdish | ku, kur, kurdish, sorani
crh_Latn | Crimean Tatar |
cym_Latn | Welsh | cy, wel
dan_Latn | Danish | da
deu_Latn | German | de, ger, deutsch
dik_Latn | Southwestern Dinka | din, dinka
dyu_Latn | Dyula |
dzo_Tibt | Dzongkha | dz
ell_Grek | Greek | el, gre
eng_Latn | English | en
epo_Latn | Esperanto | eo
est_Latn | Estonian | et
eus_Latn | Basque | eu, baq, euskara
ewe_Latn | Ewe | ee
fao_Latn | Faroese | fo
pes_Arab | Western Persian | fa, fas, per, persian, farsi
fij_Latn | Fijian | fj
fin_Latn | Finnish | fi, suomi
fon_Latn | Fon |
fra_Latn | French | fr, fre, francais
fur_Latn | Friulian |
fuv_Latn | Nigerian Fulfulde | ff, ful, fulah, fulfulde
gla_Latn | Scottish Gaelic | gd, gaelic
gle_Latn | Irish | ga, gaelic
glg_Latn | Galician | gl
grn_Latn | Guarani | gn
guj_Gujr | Gujarati | gu
hat_Latn | Haitian Creole | ht, haitian
hau_Latn | Hausa | ha
heb_Hebr | Hebrew | he, iw
hin_Deva | Hindi | hi
hne_Deva | Chhattisgarhi |
hrv_Latn | Croatian | hr
hun_Latn | Hungarian | hu, magyar
hye_Armn | Armenian | hy, arm
ibo_Latn | Igbo | ig
ilo_Latn | Ilocano |
ind_Latn | Indonesian | id
isl_Latn | Icelandic | is, ice
ita_Latn | Italian | it, italiano
jav_Latn | Javanese | jv
jpn_Jpan | Japanese | ja, jp
kab_Latn | Kabyle |
kac_Latn | Jingpho | kachin
kam_Latn | Kamba |
kan_Knda | Kannada | kn
kas_Arab | Kashmiri (Arabic script) | ks
kas_Deva | Kashmiri (Devanagari script) | ks
kat_Geor | Georgian | ka, geo
knc_Arab | Central Kanuri (Arabic script) | kr, kau, kanuri
knc_Latn | Central Kanuri (Latin script) | kr, kau, kanuri
kaz_Cyrl | Kazakh | kk
kbp_Latn | Kabiyè |
kea_Latn | Kabuverdianu | cape verdean creole
khm_Khmr | Khmer | km, cambodian
kik_Latn | Kikuyu | ki
kin_Latn | Kinyarwanda | rw
kir_Cyrl | Kyrgyz | ky
kmb_Latn | Kimbundu |
kon_Latn | Kikongo | kg, kongo
kor_Hang | Korean | ko
kmr_Latn | Northern Kurdish | ku, kur, kurdish, kurmanji
lao_Laoo | Lao | lo
lvs_Latn | Standard Latvian | lv, lav, latvian
lij_Latn | Ligurian |
lim_Latn | Limburgish | li
lin_Latn | Lingala | ln
lit_Latn | Lithuanian | lt
lmo_Latn | Lombard |
ltg_Latn | Latgalian |
ltz_Latn | Luxembourgish | lb
lua_Latn | Luba-Kasai | tshiluba
lug_Latn | Ganda | lg, luganda
luo_Latn | Luo | dholuo
lus_Latn | Mizo |
mag_Deva | Magahi |
mai_Deva | Maithili |
mal_Mlym | Malayalam | ml
mar_Deva | Marathi | mr
min_Latn | Minangkabau (Latin script) |
mkd_Cyrl | Macedonian | mk, mac
plt_Latn | Plateau Malagasy | mg, mlg, malagasy
mlt_Latn | Maltese | mt
mni_Beng | Meitei (Bengali script) | manipuri
khk_Cyrl | Halh Mongolian | mn, mon, mongolian
mos_Latn | Mossi |
mri_Latn | Maori | mi, mao
zsm_Latn | Standard Malay | ms, msa, may, malay
mya_Mymr | Burmese | my, bur, myanmar
nld_Latn | Dutch | nl, dut, flemish, nederlands
nno_Latn | Norwegian Nynorsk | nn, no, nor, norwegian
nob_Latn | Norwegian Bokmål | nb, no, nor, norwegian
npi_Deva | Nepali | ne, nep
nso_Latn | Northern Sotho | sepedi, pedi
nus_Latn | Nuer |
nya_Latn | Nyanja | ny, chichewa
oci_Latn | Occitan | oc
gaz_Latn | West Central Oromo | om, orm, oromo
ory_Orya | Odia | or, ori, oriya
pag_Latn | Pangasinan |
pan_Guru | Eastern Panjabi | pa, punjabi
pap_Latn | Papiamento |
pol_Latn | Polish | pl, polski
por_Latn | Portuguese | pt, portugues
prs_Arab | Dari | persian
pbt_Arab | Southern Pashto | ps, pus, pashto
quy_Latn | Ayacucho Quechua | qu, que, quechua
ron_Latn | Romanian | ro, rum, moldovan
run_Latn | Rundi | rn, kirundi
rus_Cyrl | Russian | ru
sag_Latn | Sango | sg
san_Deva | Sanskrit | sa
sat_Beng | Santali |
scn_Latn | Sicilian |
shn_Mymr | Shan |
sin_Sinh | Sinhala | si, sinhalese
slk_Latn | Slovak | sk, slo
slv_Latn | Slovenian | sl, slovene
smo_Latn | Samoan | sm
sna_Latn | Shona | sn
snd_Arab | Sindhi | sd
som_Latn | Somali | so
sot_Latn | Southern Sotho | st, sesotho
spa_Latn | Spanish | es, espanol, castilian
als_Latn | Tosk Albanian | sq, sqi, alb, albanian
srd_Latn | Sardinian | sc
srp_Cyrl | Serbian | sr
ssw_Latn | Swati | ss
sun_Latn | Sundanese | su
swe_Latn | Swedish | sv, svenska
swh_Latn | Swahili | sw, swa, kiswahili
szl_Latn | Silesian |
tam_Taml | Tamil | ta
tat_Cyrl | Tatar | tt
tel_Telu | Telugu | te
tgk_Cyrl | Tajik | tg
tgl_Latn | Tagalog | tl, filipino
tha_Thai | Thai | th
tir_Ethi | Tigrinya | ti
taq_Latn | Tamasheq (Latin script) | tuareg
taq_Tfng | Tamasheq (Tifinagh script) | tuareg
tpi_Latn | Tok Pisin |
tsn_Latn | Tswana | tn, setswana
tso_Latn | Tsonga | ts
tuk_Latn | Turkmen | tk
tum_Latn | Tumbuka |
tur_Latn | Turkish | tr
twi_Latn | Twi | tw
tzm_Tfng | Central Atlas Tamazight | berber, tamazight
uig_Arab | Uyghur | ug
ukr_Cyrl | Ukrainian | uk
umb_Latn | Umbundu |
urd_Arab | Urdu | ur
uzn_Latn | Northern Uzbek | uz, uzb, uzbek
vec_Latn | Venetian |
vie_Latn | Vietnamese | vi
war_Latn | Waray |
wol_Latn | Wolof | wo
xho_Latn | Xhosa | xh
ydd_Hebr | Eastern Yiddish | yi, yid, yiddish
yor_Latn | Yoruba | yo
yue_Hant | Yue Chinese | cantonese
zho_Hans | Chinese (Simplified) | zh, chi, cn, chinese, mandarin
zho_Hant | Chinese (Traditional) | zh, chi, tw, chinese, mandarin, taiwanese mandarin
zul_Latn | Zulu | zu, isizulu
"""

_ROWS = [[cell.strip() for cell in line.split("|")] for line in _TABLE.strip().splitlines()]
LANGUAGE_NAMES = MappingProxyType({code: name for code, name, _ in _ROWS})
FLORES_200: tuple[str, ...] = tuple(LANGUAGE_NAMES)

# Code, name or alias, normalised by `_plain` → codes.
_MEANINGS: dict[str, list[str]] = {}


def check_languages(langs: Iterable[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return ``langs`` without duplicates; check that all are ``known``.

    Args:
        langs: FLORES-200 codes given by the user.
        known: codes that the model supports.

    Raises:
        UserError: none is given, or some are unknown; the nearest codes of ``known`` are suggested for each.
    """
    wanted = tuple(dict.fromkeys(langs))
    if not wanted:
        raise UserError("no language given, expected at least one", fix=f"give at least one of {_listed(known)}")
    wrong = [lang for lang in wanted if lang not in known]
    if wrong:
        raise UserError(
            "; ".join(_complaint(lang) for lang in wrong),
            fix="; ".join(dict.fromkeys(_advice(lang, known) for lang in wrong)),
        )
    return wanted


def nearest_languages(lang: str, known: Sequence[str]) -> list[str]:
    """Return up to five codes of ``known`` that ``lang`` may mean, best first; possibly none.

    ``lang``, or one of its words, may be a code, an ISO 639 code or an English name (``pt-BR``, ``Brazilian
    Portuguese``); otherwise it is matched as a misspelling.
    """
    meanings = _meanings()
    plain = _plain(lang)
    words = plain.split()
    found = next((meanings[name] for name in (plain, *words) if name in meanings), [])
    if not found and len(plain) > 3:  # too many three-letter codes differ by one letter
        near = difflib.get_close_matches(plain, list(meanings), n=5, cutoff=0.75)
        found = [code for name in near for code in meanings[name]]
    found = sorted(dict.fromkeys(found), key=lambda code: code.partition("_")[2].lower() not in words)
    return [code for code in found if code in known][:5]


def _complaint(lang: str) -> str:
    if lang in LANGUAGE_NAMES:
        return f"this model does not support {lang} ({LANGUAGE_NAMES[lang]})"
    return f"unknown language {lang!r}, expected a FLORES-200 code such as eng_Latn"


def _advice(lang: str, known: Sequence[str]) -> str:
    near = nearest_languages(lang, known)
    if near:
        return f"for {lang!r} try " + " or ".join(f"{code} ({LANGUAGE_NAMES[code]})" for code in near)
    return f"the model supports {_listed(known)}"


def _meanings() -> dict[str, list[str]]:
    if not _MEANINGS:
        for code, name, others in _ROWS:
            # For example code, language code, "Kashmiri (Arabic script)" and "kashmiri".
            aliases = [code, code.partition("_")[0], name, name.partition(" (")[0], *others.split(",")]
            for alias in dict.fromkeys(map(_plain, aliases)):
                if alias:
                    _MEANINGS.setdefault(alias, []).append(code)
    return _MEANINGS


def _plain(name: str) -> str:
    """Lower case without accents or punctuation: ``Norwegian Bokmål`` -> ``norwegian bokmal``."""
    letters = unicodedata.normalize("NFKD", name.casefold())
    kept = "".join(" " if not letter.isalnum() else letter for letter in letters if not unicodedata.combining(letter))
    return " ".join(kept.split())


def _listed(known: Sequence[str]) -> str:
    return ", ".join(known) if len(known) <= 20 else f"{', '.join(known[:3])}, … ({len(known)} in all)"
