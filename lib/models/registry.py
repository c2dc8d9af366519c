"""The networks that can be trained, each with its ``ModelSpec``."""

import difflib
from functools import partial

from ..errors import ConfigError
from . import recipes
from .spec import ModelSpec

# "Layer by layer" and file names in a source say what the layers here were compared with.
_RESNET = "torchvision's resnet.py, layer by layer, for arXiv:1512.03385; what resnet-imagenet-caffe meant"
_RESNET_D = "timm's resnet.py, layer by layer, for ResNet-D of arXiv:1812.01187"
_CAFFE = "resnet-imagenet-caffe's prototxts, layer by layer; published are weights of the one with 32 layers"

# What the networks of one family share.
_alexnet = partial(ModelSpec, parameters=60_965_224, crop=227, min_crop=67, modern=recipes.MODERN_WITHOUT_NORMS)
_soumith = partial(
    ModelSpec,
    crop=224,
    source="soumith's imagenet-multiGPU.torch, models/*.lua, layer by layer",
    recipe=recipes.SOUMITH,
    modern=recipes.MODERN_WITHOUT_NORMS,
)
_soumith_bn = partial(_soumith, modern=recipes.MODERN)
_vgg = partial(_soumith, network="vgg.VGG", min_crop=32)
_vgg_bn = partial(_vgg, source="soumith's vggbn.lua, with batch norm in the convolutions too", modern=recipes.MODERN)
_googlenet = partial(_soumith, network="googlenet.GoogLeNet", min_crop=47, loss="losses.with_auxiliary")
_squeezenet = partial(ModelSpec, crop=227, recipe=recipes.SQUEEZENET, modern=recipes.MODERN_WITHOUT_NORMS)
_basic = partial(
    ModelSpec,
    network="resnet.basic",
    crop=224,
    min_crop=32,
    source=_RESNET,
    recipe=recipes.CAFFE_RESNET,
    any_size=True,
    variable=("width", "blurpool"),
)
_bottleneck = partial(_basic, network="resnet.bottleneck")
_basic_d = partial(
    _basic,
    network="resnet.basic_d",
    source=_RESNET_D,
    recipe=recipes.BAG_OF_TRICKS,
    default_recipe="modern",  # with which ResNet-D was measured here; its weights elsewhere have other recipes, too
)
_bottleneck_d = partial(_basic_d, network="resnet.bottleneck_d")
_cifar = partial(
    ModelSpec,
    network="resnet_cifar.CifarResNet",
    crop=32,
    img_size=32,
    min_crop=4,
    source="arXiv:1512.03385, section 4.2, for images of 32 x 32",
    recipe=recipes.CIFAR_RESNET,
    modern=recipes.MODERN_CIFAR,
    any_size=True,
    variable=("width",),
)
_caffe = partial(_basic, network="resnet.CaffeResNet", source=_CAFFE, any_size=False, variable=())
_torchnet = partial(
    ModelSpec, crop=224, source="farrajota's multi-gpu-torchnet, models/*.lua, layer by layer", recipe=recipes.TORCHNET
)
_tiny = partial(
    ModelSpec,
    network="tiny.Tiny",
    parameters=132_552,
    crop=227,
    min_crop=13,
    recipe=recipes.THEANO,
    modern=recipes.MODERN_WITHOUT_NORMS,
)

MODELS = {
    "alexnet": _alexnet(
        network="alexnet.AlexNet",
        fused="alexnet_fused.FusedAlexNet",
        source="theano_alexnet's alex_net.py and layers.py, layer by layer: the network of arXiv:1412.2302",
        recipe=recipes.THEANO,
    ),
    "caffenet": _alexnet(
        network="alexnet.caffenet",
        source="Caffe's bvlc_reference_caffenet, train_val.prototxt, layer by layer",
        recipe=recipes.CAFFE_ALEXNET,
    ),
    "bvlc_alexnet": _alexnet(
        network="alexnet.bvlc_alexnet",
        source="Caffe's bvlc_alexnet, train_val.prototxt, layer by layer",
        recipe=recipes.CAFFE_ALEXNET,
    ),
    "alexnet_towers": _soumith(network="alexnet_variants.AlexNetTowers", parameters=60_522_856, min_crop=63),
    "alexnet_owt": _soumith(network="alexnet_variants.AlexNetOwt", parameters=61_100_840, min_crop=63),
    "alexnet_owt_bn": _soumith_bn(
        network="alexnet_variants.AlexNetOwt", options={"norm": True}, parameters=61_119_528, min_crop=63
    ),
    "overfeat": _soumith(network="overfeat.OverFeat", parameters=111_317_864, min_crop=71),
    "vgg_a": _vgg(options={"table": "A"}, parameters=132_863_336),
    "vgg_b": _vgg(options={"table": "B"}, parameters=133_047_848),
    "vgg_d": _vgg(options={"table": "D"}, parameters=138_357_544),
    "vgg_e": _vgg(options={"table": "E"}, parameters=143_667_240),
    "vgg_a_bn": _vgg_bn(options={"table": "A", "norm": True}, parameters=132_885_224),
    "vgg_b_bn": _vgg_bn(options={"table": "B", "norm": True}, parameters=133_070_120),
    "vgg_d_bn": _vgg_bn(options={"table": "D", "norm": True}, parameters=138_382_376),
    "vgg_e_bn": _vgg_bn(options={"table": "E", "norm": True}, parameters=143_694_632),
    "googlenet": _googlenet(parameters=19_124_528),
    "googlenet_bn": _googlenet(options={"norm": True}, parameters=19_147_888, modern=recipes.MODERN),
    "nin_bn": _soumith_bn(network="nin.NiN", parameters=8_655_336, min_crop=32, recipe=recipes.NIN),
    "squeezenet": _soumith(network="squeezenet.with_bypass", parameters=1_248_424, min_crop=35),
    "squeezenet_v1_0": _squeezenet(
        network="squeezenet.v1_0",
        parameters=1_248_424,
        min_crop=21,
        source="torchvision's squeezenet1_0, layer by layer",
    ),
    "squeezenet_v1_0_caffe": _squeezenet(
        network="squeezenet.v1_0_caffe",
        parameters=1_248_424,
        min_crop=21,
        source="SqueezeNet_v1.0's train_val.prototxt, layer by layer: conv10 has pad 1",
    ),
    "squeezenet_v1_1": _squeezenet(
        network="squeezenet.v1_1",
        parameters=1_235_496,
        min_crop=17,
        source="SqueezeNet_v1.1's deploy.prototxt, layer by layer; torchvision's is the same",
    ),
    "resnet18": _basic(options={"counts": (2, 2, 2, 2)}, parameters=11_689_512),
    "resnet34": _basic(options={"counts": (3, 4, 6, 3)}, parameters=21_797_672),
    "resnet50": _bottleneck(options={"counts": (3, 4, 6, 3)}, parameters=25_557_032),
    "resnet101": _bottleneck(options={"counts": (3, 4, 23, 3)}, parameters=44_549_160),
    "resnet152": _bottleneck(options={"counts": (3, 8, 36, 3)}, parameters=60_192_808),
    "resnet18_d": _basic_d(options={"counts": (2, 2, 2, 2)}, parameters=11_708_744),
    "resnet34_d": _basic_d(options={"counts": (3, 4, 6, 3)}, parameters=21_816_904),
    "resnet50_d": _bottleneck_d(options={"counts": (3, 4, 6, 3)}, parameters=25_576_264),
    "resnet20_cifar": _cifar(options={"counts": (3, 3, 3)}, parameters=334_072),
    "resnet56_cifar": _cifar(options={"counts": (9, 9, 9)}, parameters=917_368),
    "lenet": ModelSpec(
        network="lenet.LeNet",
        parameters=928_070,
        crop=28,
        img_size=28,
        min_crop=16,
        source="Caffe's lenet_train_test.prototxt, layer by layer, for digits of 28 x 28 in three channels",
        recipe=recipes.LENET,
        modern=recipes.MODERN_DIGITS,
    ),
    "caffe_resnet18": _caffe(options={"counts": (3, 2)}, parameters=248_693_864),
    "caffe_resnet32": _caffe(options={"counts": (3, 4, 2), "tail": 256}, parameters=20_722_280),
    "caffe_resnet50": _caffe(options={"counts": (3, 4, 6, 3)}, parameters=25_557_096),
    "alexnet_bn": _torchnet(network="alexnet_variants.AlexNetBN", parameters=2_729_512, min_crop=63),
    "vgg_bn_v2": _torchnet(
        network="vgg.SmallVGG", parameters=9_734_504, min_crop=32, modern=recipes.MODERN_WITHOUT_NORMS
    ),
    "tiny": _tiny(source="ours, for tests and first steps"),
    "tiny_without_dropout": _tiny(options={"dropout": 0.0}, source="tiny, to compare runs number by number"),
}


def model_spec(name: str) -> ModelSpec:
    """Return the spec of a network. Raises ConfigError, which lists all networks, when there is none of this name."""
    if name in MODELS:
        return MODELS[name]
    close = difflib.get_close_matches(name, MODELS, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise ConfigError(f"model.name is {name}; {hint}known networks: {', '.join(MODELS)}")


def table() -> str:
    """Return the text of --list_models: one line per network and, below them, one per recipe.

    The column "kernels" says whether the network has fused kernels for GPUs (compute.fused). Those below "classic" and
    "modern" number its two recipes (model.recipe), with a star at the default.
    """
    both = [recipe for spec in MODELS.values() for recipe in (spec.recipe, spec.modern)]
    recipes = list({recipe.source: recipe for recipe in both}.values())
    rows = [("name", "parameters", "crop", "min crop", "kernels", "classic", "modern", "source")]
    for name, spec in MODELS.items():
        kernels = "own" if spec.fused else ""
        classic, modern = (
            f"{recipes.index(recipe) + 1}{'*' if name == spec.default_recipe else ' '}"
            for name, recipe in (("classic", spec.recipe), ("modern", spec.modern))
        )
        size = f"{spec.parameters:,}", str(spec.crop), str(spec.min_crop)
        rows.append((name, *size, kernels, classic, modern, spec.source))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(f"{cell:{align}{width}}" for cell, align, width in zip(row, "<>>><>><", widths, strict=True)).rstrip()
        for row in rows
    ]
    described = [
        f"recipe {number}: {recipe.n_epochs} epochs of {recipe.images} images per update, {recipe.optimizer.name}, "
        f"rate {recipe.optimizer.learning_rate:g}, {recipe.schedule.policy}; {recipe.source}"
        for number, recipe in enumerate(recipes, 1)
    ]
    return "\n".join([*lines, "", *described])
