"""What trainings minimise."""

import workflow.lib.backends  # noqa: F401  (before open_clip)

# isort: split
from collections.abc import Mapping

import numpy as np
import open_clip
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workflow.lib.data.images import Images
from workflow.lib.models.clip import TextTower, text_image_model
from workflow.lib.models.train.augment import distort, from_files, shift_and_flip
from workflow.lib.models.train.drop_block import add_drop_block


class Objective(nn.Module):
    """What is minimised: called with pixels of some training images and their rows.

    It gives loss and accuracy. `progress` is the share of the training that is done.
    """

    def __init__(self, recipe: Mapping, images: Images, labels: Tensor):
        super().__init__()
        self.recipe, self.images, self.labels = recipe, images, labels
        self.progress = 0.0

    def augmented(self, pixels: Tensor) -> Tensor:
        """Normalised images, shifted and flipped unless they are random crops already."""
        if not from_files(self.recipe):
            pixels = shift_and_flip(pixels, self.recipe["shift"], self.recipe["flip"])
        return self.normalised(pixels)

    def normalised(self, pixels: Tensor) -> Tensor:
        """Pixels as a network takes them fastest."""
        return self.images.normalise(pixels, torch.channels_last)

    def parts(self) -> dict[str, nn.Module]:
        """Modules to store beside the network."""
        return {}


class Supervised(Objective):
    """Cross-entropy with the labels."""

    def __init__(self, recipe, images, labels, network):
        super().__init__(recipe, images, labels)
        self.network = network
        if "drop_block_stages" in recipe:
            add_drop_block(network, recipe, lambda: self.progress)

    def forward(self, pixels: Tensor, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Compute loss and accuracy on some of the training images."""
        logits, labels = self.network(self.augmented(pixels)), self.labels[rows]
        loss = F.cross_entropy(logits, labels, label_smoothing=self.recipe["label_smoothing"])
        return loss, (logits.argmax(1) == labels).float().mean()


class Distillation(Supervised):
    """Cross-entropy with a teacher's softened outputs (Hinton, Vinyals and Dean 2015)."""

    def __init__(self, recipe, images, labels, network, teacher):
        super().__init__(recipe, images, labels, network)
        teacher.requires_grad_(False).to(memory_format=torch.channels_last)
        self.teacher = [teacher]  # in a list: not part of what is trained

    def forward(self, pixels: Tensor, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Compute loss and accuracy on some of the training images."""
        batch, temperature = self.augmented(pixels), self.recipe["temperature"]
        logits = self.network(batch)
        _, _, targets = self.teacher[0](batch)
        loss = F.cross_entropy(logits / temperature, (targets / temperature).softmax(1))
        return temperature**2 * loss, (logits.argmax(1) == self.labels[rows]).float().mean()


class SimCLR(Objective):
    """Two views of an image attract, views of others repel (Chen et al. 2020, equation 1).

    The accuracy is how often the other view of the same image is the most similar one.
    """

    def __init__(self, recipe, images, labels, network):
        super().__init__(recipe, images, labels)
        self.network = network
        width = network.num_features
        self.projector = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, recipe["projection"])
        )

    def forward(self, pixels: Tensor, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Compute loss and accuracy on some of the training images."""
        recipe = self.recipe
        views = pixels  # of files, both views already
        if not from_files(recipe):
            scale, jitter = recipe["crop_scale"], recipe["jitter"]
            views = torch.cat([distort(pixels, scale, jitter) for _ in "12"])
        embeddings = self.projector(self.network(self.normalised(views)))
        embeddings = F.normalize(embeddings.float(), dim=1)
        similarity = embeddings @ embeddings.T / recipe["temperature"]
        similarity.fill_diagonal_(-torch.inf)
        partner = torch.arange(len(views), device=views.device).roll(len(rows))
        hits = (similarity.argmax(1) == partner).float().mean()
        return F.cross_entropy(similarity, partner), hits

    def parts(self) -> dict[str, nn.Module]:
        """Modules to store beside the network."""
        return {"projector": self.projector}


class Clip(Objective):
    """Images attract their captions, of several templates (Radford et al. 2021).

    The accuracy is how often an image is nearest to a caption of its own class.
    """

    def __init__(self, recipe, images, labels, network, classes):
        super().__init__(recipe, images, labels)
        self.clip = text_image_model(recipe, network)
        self.loss = open_clip.ClipLoss()
        self.tokenizer = open_clip.SimpleTokenizer(context_length=recipe["context"])
        self.captions = [t.format(name) for name in classes for t in recipe["templates"]]

    def forward(self, pixels: Tensor, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Compute loss and accuracy on some of the training images."""
        labels, templates = self.labels[rows], len(self.recipe["templates"])
        drawn = torch.randint(templates, labels.shape, device=labels.device)
        batch = self.augmented(pixels)
        # A caption is encoded once, however often it is drawn.
        tokens = self.tokenizer(self.captions).to(batch.device)
        texts = self.clip.encode_text(tokens, normalize=True).float()
        images = self.clip.encode_image(batch, normalize=True).float()
        loss = self.loss(images, texts[labels * templates + drawn], self.clip.logit_scale.exp())
        nearest = (images @ texts.T).argmax(1) // templates
        return loss, (nearest == labels).float().mean()

    def parts(self) -> dict[str, nn.Module]:
        """Modules to store beside the network."""
        return {"clip": TextTower(self.clip)}
