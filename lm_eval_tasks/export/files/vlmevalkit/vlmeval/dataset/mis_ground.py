"""MIS-Ground: spatial grounding in CT and MRI.

The rows, the prompts and the reader of answers are those of the package ``mis-ground``, so that scores agree with those
of lm-evaluation-harness, question by question. No model judges.
"""

# SPDX-License-Identifier: Apache-2.0

import json
import math
from collections import defaultdict

import pandas as pd

from vlmeval.smp import dump, get_intermediate_file_path, load
from .image_base import ImageBaseDataset
from .text_base import TextBaseDataset

MEANS = ('acc', 'invalid', 'refused', 'truncated', 'unread')


class _Scored:
    """What data sets with images and the one without have in common."""

    TYPE = 'MISGround'  # none of the types for which models have prompts of their own
    DEFAULT_JUDGE = None

    def post_build(self, dataset):
        """Keep the rows that answers are scored with out of the result files, whose cells are short."""
        self.documents = dict(zip(self.data['index'], self.data.pop('document'), strict=True))

    def evaluate(self, eval_file, **judge_kwargs):
        """The scores of a prediction file; those of each question go to a file beside it."""
        from lm_eval_tasks.export.benchmark import cluster_of, score
        from lm_eval_tasks.mis_ground.metrics import pair_acc, read_reply

        rows = []
        for index, reply in zip(*_predictions(eval_file), strict=True):
            document = json.loads(self.documents[index])
            found, scores = read_reply(document, reply), score(document, reply)
            scores.pop('pair_acc', None)
            about = {'index': index, 'id': document['id'], 'task': document['task'], 'cluster': cluster_of(document)}
            factors = {name: document.get(name) for name in ('terminology', 'answer_type')}
            pair = f'{document["task"]}/{document["pair_id"]}' if document['pair_id'] else ''
            answers = {'pair': pair, 'prediction': reply, 'read': found.option, 'status': found.status}
            rows.append(about | factors | answers | scores)
        dump(pd.DataFrame(rows), get_intermediate_file_path(eval_file, '_scores', 'csv'))

        result = {'Overall': _mean(rows, 'acc')}
        pairs = pair_acc((row['pair'], row['acc'] == 1) for row in rows)
        result |= {} if math.isnan(pairs) else {'pair_acc': pairs}
        result |= {name: _mean(rows, name) for name in MEANS[1:]}
        for column in ('terminology', 'task'):
            groups = defaultdict(list)
            for row in rows:
                groups[row[column]].append(row)
            result |= {f'acc|{name}': _mean(members, 'acc') for name, members in sorted(groups.items())}
        result |= _of_places(rows)
        dump(result, get_intermediate_file_path(eval_file, '_score', 'json'))
        return result


class MISGround(_Scored, ImageBaseDataset):
    """Questions with images: the headline, the controls, and those that ask for positions and measurements."""

    DATASET_URL = {
        'MISGround': '',
        'MISGround_controls': '',
        'MISGround_locate': '',
        'MISGround_measure': '',
    }

    def build_prompt(self, line):
        """The images in order, then the text; of a large table, whose images are files already, as well."""
        line = self.data.iloc[line] if isinstance(line, int) else line
        images = [{'type': 'image', 'value': path} for path in self.dump_image(line)]
        return [*images, {'type': 'text', 'value': line['question']}]


class MISGroundBlind(_Scored, TextBaseDataset):
    """The text baseline: questions without their images."""

    DATASET_URL = {'MISGround_blind': 'MISGround_blind.tsv'}
    DATASET_MD5 = {'MISGround_blind': None}


def _predictions(eval_file):
    """Indices and replies; a reply such as "N/A" or "12" stays text, which ``load`` would not leave it."""
    as_text = {'keep_default_na': False, 'dtype': {'prediction': str}}
    if eval_file.endswith('.xlsx'):
        data = pd.read_excel(eval_file, **as_text)
    elif eval_file.endswith('.tsv'):
        data = pd.read_csv(eval_file, sep='\t', **as_text)
    else:
        data = pd.DataFrame(load(eval_file))
    replies = ['' if isinstance(reply, float) and math.isnan(reply) else str(reply) for reply in data['prediction']]
    return list(data['index']), replies


def _values(rows, name):
    return [row[name] for row in rows if row.get(name) is not None]


def _mean(rows, name):
    values = _values(rows, name)
    return sum(values) / len(values) if values else float('nan')


def _of_places(rows):
    """The scores that only positions and numbers have."""
    from lm_eval_tasks.mis_ground.metrics import MEDIANS, PLACE_METRICS, median

    names = dict.fromkeys(name for metrics in PLACE_METRICS.values() for name in metrics)
    found = {}
    for name in names:
        if values := _values(rows, name):
            found[name] = median(values) if name in MEDIANS else _mean(rows, name)
    return found
