"""Classifiers of a joint log likelihood: naive Bayes and quadratic discriminant analysis; and scikit-learn's MLP."""

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.naive_bayes import BernoulliNB, ComplementNB, GaussianNB, MultinomialNB
from sklearn.neural_network import MLPClassifier

from genrestack_export.converters.context import CLASSIFIERS, Answer, Context, Make, Table, as_double, lazy

_BINARY = 2


def _likelihood(c: Context, estimator: Any, make: Make) -> Answer:
    joint = lazy(make)
    return Answer(
        len(estimator.classes_),
        lazy(lambda: c.g.node("Softmax", joint(), axis=1)),
        None,
        lazy(lambda: c.g.node("ArgMax", joint(), axis=1, keepdims=0)),
    )


def gaussian(c: Context, estimator: Any, rows: Table) -> Answer:
    """Convert `GaussianNB`."""
    variance = np.asarray(estimator.var_)
    constants = np.log(estimator.class_prior_) - 0.5 * np.log(2 * np.pi * variance).sum(axis=1)

    def joint() -> str:
        wide = c.g.node("Unsqueeze", rows.name, c.g.constant([1], np.int64))
        centred = c.g.node("Sub", wide, c.array(np.asarray(estimator.theta_)[None]))
        squares = c.g.node("Div", c.g.node("Mul", centred, centred), c.array(variance[None]))
        halved = c.g.node("Mul", c.g.reduce_sum(squares, 2, keepdims=False), c.number(-0.5))
        return c.g.node("Add", halved, c.array(constants[None]))

    return _likelihood(c, estimator, joint)


def counted(c: Context, estimator: Any, rows: Table) -> Answer:
    """Convert `MultinomialNB`, `ComplementNB` and `BernoulliNB`."""
    weights = np.asarray(estimator.feature_log_prob_, dtype=np.float64)
    bias = np.asarray(estimator.class_log_prior_, dtype=np.float64)
    value = rows.name
    if type(estimator) is ComplementNB and len(estimator.classes_) > 1:
        bias = np.zeros(len(weights))
    if type(estimator) is BernoulliNB:
        if estimator.binarize is not None:
            value = as_double(c.g, c.g.node("Greater", value, c.number(float(estimator.binarize))))
        absent = np.log(1 - np.exp(weights))
        weights, bias = weights - absent, bias + absent.sum(axis=1)
    return _likelihood(c, estimator, lambda: c.g.node("Gemm", value, c.array(weights.T), c.array(bias)))


def quadratic(c: Context, estimator: Any, rows: Table) -> Answer:
    """Convert `QuadraticDiscriminantAnalysis`."""

    def joint() -> str:
        columns = []
        for mean, rotation, scaling in zip(estimator.means_, estimator.rotations_, estimator.scalings_, strict=True):
            centred = c.g.node("Sub", rows.name, c.array(np.asarray(mean)[None]))
            turned = c.g.node("MatMul", centred, c.array(rotation * scaling**-0.5))
            columns.append(c.g.reduce_sum(c.g.node("Mul", turned, turned), 1))
        logs = np.array([np.log(scaling).sum() for scaling in estimator.scalings_])
        norms = c.g.node("Add", c.g.node("Concat", *columns, axis=1), c.array(logs[None]))
        return c.g.node("Add", c.g.node("Mul", norms, c.number(-0.5)), c.array(np.log(estimator.priors_)[None]))

    made = lazy(joint)
    answer = _likelihood(c, estimator, made)
    difference = c.array([[-1.0], [1.0]]) if answer.classes == _BINARY else ""
    decision = lazy(lambda: c.g.node("MatMul", made(), difference)) if difference else made
    return replace(answer, decision=decision)


def perceptron(c: Context, estimator: Any, rows: Table) -> Answer:
    """Convert `MLPClassifier`."""
    classes = len(estimator.classes_)
    if estimator.out_activation_ == "logistic" and classes != _BINARY:
        raise c.refuse("MLPClassifier of several labels", "one label a row")

    def output() -> str:
        value, last = rows.name, len(estimator.coefs_) - 1
        for layer, (weights, bias) in enumerate(zip(estimator.coefs_, estimator.intercepts_, strict=True)):
            value = c.g.node("Gemm", value, c.array(weights), c.array(bias))
            if layer < last:
                value = _activate(c, estimator.activation, value)
        return value

    made = lazy(output)
    if classes == _BINARY:
        second = lazy(lambda: c.expit(made()))
        return Answer(classes, lazy(lambda: c.beside(second())), None, lazy(lambda: c.above(second(), 0.5)))
    return Answer(classes, lazy(lambda: c.g.node("Softmax", made(), axis=1)))


def _activate(c: Context, kind: str, value: str) -> str:
    if kind == "logistic":
        return c.expit(value)
    return value if kind == "identity" else c.g.node({"relu": "Relu", "tanh": "Tanh"}[kind], value)


CLASSIFIERS.update(
    {
        GaussianNB: gaussian,
        **dict.fromkeys((MultinomialNB, ComplementNB, BernoulliNB), counted),
        QuadraticDiscriminantAnalysis: quadratic,
        MLPClassifier: perceptron,
    }
)
