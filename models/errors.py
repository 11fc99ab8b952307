"""Everything that can go wrong with a model, grouped by who must act.

relay.errors.HeardError
├── SenderError                   whoever made the bundle must change it
│   └── BundleRefused             not a bundle that may be opened
│       ├── BundleMalformed       the file is not laid out as a bundle, or is over a bound
│       ├── BundleUnsigned        no trusted signer made this manifest
│       ├── ManifestInvalid       the manifest says something impossible, or something unknown
│       ├── WeightsChanged        the weights are not the ones that the manifest was signed for
│       └── UnsignedWeights       bare weights, outside any bundle
└── OperatorError                 a person at the node must act
    ├── SignerKeyError            a signing key or a list of signers can't be used
    └── RegistryError
        ├── NotInstalled          no such model here
        ├── NothingActive         no model was chosen yet
        ├── NothingToRollBackTo   no earlier model to go back to
        ├── RegistryBusy          another process is changing it
        └── RegistryDamaged       the registry's own files are not intact

Messages say what was expected, what was found and what to do.
"""

from relay.errors import OperatorError, SenderError


class BundleRefused(SenderError):
    """Not a bundle that may be opened."""

    reason = "bundle_refused"


class BundleMalformed(BundleRefused):
    """The file is not laid out as a bundle, or is over a bound."""

    reason = "bundle_malformed"


class BundleUnsigned(BundleRefused):
    """No trusted signer made this manifest."""

    reason = "bundle_unsigned"


class ManifestInvalid(BundleRefused):
    """The manifest says something impossible, or something unknown."""

    reason = "manifest_invalid"


class WeightsChanged(BundleRefused):
    """The weights are not the ones that the manifest was signed for."""

    reason = "weights_changed"


class UnsignedWeights(BundleRefused):
    """Bare weights, outside any bundle: opening them may run whatever they contain."""

    reason = "unsigned_weights"


class SignerKeyError(OperatorError):
    """A signing key or a list of signers can't be used."""


class RegistryError(OperatorError):
    """The registry can't do what was asked."""


class NotInstalled(RegistryError):
    """No such model here."""


class NothingActive(RegistryError):
    """No model was chosen yet."""


class NothingToRollBackTo(RegistryError):
    """No earlier model to go back to."""


class RegistryBusy(RegistryError):
    """Another process is changing the registry."""


class RegistryDamaged(RegistryError):
    """The registry's own files are not intact."""
