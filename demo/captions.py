"""English captions for rendered scenes, from a closed vocabulary, to train a small CLIP on."""

from collections.abc import Mapping

import numpy as np

_PICTURE = ("a photo", "a picture", "an image", "a camera view", "a frame", "a scene", "a photograph")
_SITE = {
    "depot": ("a depot", "a warehouse yard", "a loading yard with doors", "a logistics depot"),
    "construction": (
        "a construction site",
        "a building site",
        "a sandy construction site",
        "a site with a crane",
    ),
    "street": ("a street", "a road", "a city street", "a street with houses"),
    "parking": ("a parking lot", "a car park", "a parking area", "a parking lot with trees"),
    "harbor": ("a harbor", "a port", "a harbor with containers", "a dock by the sea"),
}
_TIME = {
    "day": ("by day", "in daylight", "during the day", "in bright daylight", "at daytime"),
    "dusk": ("at dusk", "at sunset", "in the evening", "in orange evening light", "at twilight"),
    "night": ("at night", "in the dark", "during the night", "at nighttime", "under lamps at night"),
}
_WEATHER = {
    "clear": (
        "in clear weather",
        "with a clear view",
        "in dry weather",
        "with clear air",
        "on a dry clear day",
    ),
    "fog": ("in fog", "in thick fog", "in foggy weather", "in mist", "with fog hiding the distance"),
    "rain": (
        "in rain",
        "in heavy rain",
        "in rainy weather",
        "on a wet rainy ground",
        "with rain drops on the lens",
    ),
    "snow": (
        "in snow",
        "in falling snow",
        "in snowy weather",
        "with snow on the ground",
        "in winter with snow",
    ),
}
_VIEW = {
    "eye level": ("at eye level", "from eye level", "seen from the front", "from a low camera"),
    "overhead": (
        "from above",
        "seen from above",
        "from an overhead camera",
        "from a high camera looking down",
    ),
    "wide angle": (
        "through a wide angle lens",
        "from a wide angle camera",
        "with a fisheye lens",
        "in wide angle",
    ),
    "tilted": (
        "from a tilted camera",
        "tilted to the side",
        "with a tilted horizon",
        "with a slanted camera",
    ),
}
_QUALITY = {
    "sharp": ("sharp", "in good quality", "in focus", "sharp and clean"),
    "blurred": ("blurred", "out of focus", "with motion blur", "blurry"),
    "compressed": (
        "compressed",
        "with compression blocks",
        "with strong jpeg compression",
        "with blocky artifacts",
    ),
    "low resolution": ("in low resolution", "with few pixels", "small and enlarged", "in small resolution"),
    "dirty lens": (
        "through a dirty lens",
        "with dirt on the lens",
        "with stains and dirt on the lens",
        "with stains on the lens",
    ),
}
_DENSITY = {
    "empty": ("an empty place", "nothing there"),
    "few": ("few objects", "a quiet place"),
    "some": ("some objects", "several objects"),
    "many": ("many objects", "a crowded place", "a busy place"),
}
_OBJECT = {
    "person": ("a person", "a worker", "people"),
    "helmet": ("a helmet", "a person with a helmet", "a hard hat"),
    "car": ("a car", "a vehicle", "cars"),
    "truck": ("a truck", "a lorry", "a large truck"),
    "pallet": ("a pallet", "a pallet with boxes", "stacked goods"),
    "extinguisher": ("a fire extinguisher", "an extinguisher", "a red extinguisher"),
    "forklift": ("a forklift", "a forklift truck", "a forklift vehicle"),
}
_PHRASES: dict[str, Mapping[str, tuple[str, ...]]] = {
    "time": _TIME,
    "weather": _WEATHER,
    "view": _VIEW,
    "quality": _QUALITY,
}
_SINGLE = {
    "time": ("{picture} taken {phrase}", "{phrase}", "{picture} {phrase}", "{value}", "taken {phrase}"),
    "weather": (
        "{picture} taken {phrase}",
        "{phrase}",
        "{picture} {phrase}",
        "{value}",
        "{picture} with {value} weather",
    ),
    "view": (
        "{picture} {phrase}",
        "{phrase}",
        "{picture} taken {phrase}",
        "a {value} camera view",
        "{value}",
    ),
    "quality": ("{picture} {phrase}", "a {value} picture", "{phrase}", "{value}", "a {value} image"),
}
_ADJECTIVES = {"fog": "foggy", "rain": "rainy", "snow": "snowy", "clear": "clear"}


def captions(attributes: Mapping[str, str], rng: np.random.Generator) -> list[str]:
    """Nine captions of a scene: one for each of time, weather, view and quality alone, one each for
    the site and the objects, and three that join several. All words are in VOCABULARY.

    Raises KeyError when an attribute that ``Scene.attributes`` always has is missing.
    """
    alone = [_single(name, attributes[name], rng) for name in _PHRASES]
    return [
        *alone,
        _place(attributes, rng),
        _contents(attributes, rng),
        *(_joined(attributes, rng, count) for count in (2, 3, 4)),
    ]


def _pick(options: tuple[str, ...], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]


def _single(name: str, value: str, rng: np.random.Generator) -> str:
    phrase = _pick(_PHRASES[name][value], rng)
    return _pick(_SINGLE[name], rng).format(picture=_pick(_PICTURE, rng), phrase=phrase, value=value)


def _place(attributes: Mapping[str, str], rng: np.random.Generator) -> str:
    site = _pick(_SITE[attributes["site"]], rng)
    adjective = _ADJECTIVES[attributes["weather"]]
    return _pick(
        (
            f"{_pick(_PICTURE, rng)} of {site}",
            site,
            f"a {adjective} {attributes['site']}",
            f"a {adjective} {attributes['site']} {_pick(_VIEW[attributes['view']], rng)}",
        ),
        rng,
    )


def _contents(attributes: Mapping[str, str], rng: np.random.Generator) -> str:
    crowd = _pick(_DENSITY[attributes["density"]], rng)
    names = [name for name in attributes["objects"].split(", ") if name]
    if not names:
        return f"{_pick(_PICTURE, rng)} of {crowd}"
    chosen = [str(name) for name in rng.permutation(names)[:2]]
    things = " and ".join(_pick(_OBJECT[name], rng) for name in chosen)
    return _pick(
        (
            f"{_pick(_PICTURE, rng)} of {things}",
            f"{things} at {_pick(_SITE[attributes['site']], rng)}",
            f"{things} {_pick(_TIME[attributes['time']], rng)}",
            f"{crowd} with {things}",
        ),
        rng,
    )


def _joined(attributes: Mapping[str, str], rng: np.random.Generator, count: int) -> str:
    names = [str(name) for name in rng.permutation(list(_PHRASES))[:count]]
    phrases = " ".join(_pick(_PHRASES[name][attributes[name]], rng) for name in names)
    return f"{_pick(_PICTURE, rng)} of {_pick(_SITE[attributes['site']], rng)} {phrases}"


def _words() -> tuple[str, ...]:
    tables = (_SITE, _TIME, _WEATHER, _VIEW, _QUALITY, _DENSITY, _OBJECT)
    texts = [*_PICTURE, *_ADJECTIVES.values(), "of and with taken at a camera view picture image weather"]
    texts += [phrase for table in tables for phrases in table.values() for phrase in phrases]
    texts += [value for table in tables for value in table]
    return tuple(sorted({word for text in texts for word in text.split()}))


VOCABULARY = _words()
