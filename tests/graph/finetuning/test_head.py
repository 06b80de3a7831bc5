"""What queries are compared with: cosines by hand, and what the head learns with the encoder fixed."""

import numpy as np
import torch

from graph.finetuning.head import Head, fit_head, random_start
from graph.losses import listwise_loss


def test_similarity_is_the_cosine_of_vector_and_projected_side() -> None:
    rng = np.random.default_rng(0)
    start, vectors, side = rng.normal(size=(2, 3)), rng.normal(size=(4, 3)), rng.normal(size=(4, 5))
    head = Head(start, 5, 2, 0)
    with torch.no_grad():
        head.llms[:, 3:] = torch.tensor([[0.5, -1.0], [2.0, 0.1]])
    got = head.similarity(head.query(torch.tensor(vectors).float(), torch.tensor(side).float()))
    llms = head.llms.detach().numpy()
    for row in range(4):
        z = np.concatenate([vectors[row], side[row] @ head.side.detach().numpy()])
        for llm in range(2):
            cosine = z @ llms[llm] / np.linalg.norm(z) / np.linalg.norm(llms[llm])
            np.testing.assert_allclose(got[row, llm].item(), cosine, atol=1e-5)


def test_without_side_it_is_routerdc() -> None:
    start = random_start(3, 4, 0)
    for head in (Head(start, 0, 8, 0), Head(start, 5, 0, 0)):
        assert head.side.numel() == 0
        assert head.llms.shape == (3, 4)
        query = head.query(torch.from_numpy(start), torch.ones(3, 5))
        np.testing.assert_allclose(head.similarity(query).detach().numpy(), start @ start.T, atol=1e-6)


def test_the_head_learns_from_vectors_and_side() -> None:
    rng = np.random.default_rng(0)
    kind = rng.integers(2, size=80)
    vectors = torch.nn.functional.normalize(torch.tensor(rng.normal(size=(80, 4))).float(), dim=1)
    side, score = torch.tensor(np.eye(2)[kind]).float(), torch.tensor(np.eye(2)[kind]).float()
    head = Head(random_start(2, 4, 0), 2, 3, 0)

    def loss(similarity: torch.Tensor, rows: np.ndarray, _: torch.Generator) -> torch.Tensor:
        return listwise_loss(similarity, score[rows], 0.2).mean()

    batches = lambda step: np.random.default_rng(step).choice(80, 16, replace=False)  # noqa: E731
    fit_head(head, vectors, side, loss, batches, lambda _: 1.0, 80, 0.05, 0)
    choice = head.similarity(head.query(vectors, side)).argmax(dim=1).numpy()
    assert (choice == kind).mean() > 0.95
