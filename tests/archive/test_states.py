from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from archive.models import Transition
from archive.states import EDGES, lock_case, move
from archive.terms import Role, State
from config.errors import IllegalTransition, NotFound
from tests.archive.rooms import open_room


def test_every_state_has_its_edges_written_down() -> None:
    assert set(EDGES) == set(State)


def test_every_state_but_withdrawn_can_be_withdrawn_and_nothing_leaves_withdrawn() -> None:
    assert all(State.WITHDRAWN in EDGES[state] for state in State if state is not State.WITHDRAWN)
    assert EDGES[State.WITHDRAWN] == frozenset()


def test_published_is_reached_from_the_experts_review_alone() -> None:
    assert [state for state in State if State.PUBLISHED in EDGES[state]] == [State.EXPERT_REVIEW]


def test_an_unknown_case_is_named(tmp_path: Path) -> None:
    room = open_room(tmp_path)
    with pytest.raises(NotFound), room.core.catalog.write() as session:
        lock_case(session, "NOSUCH")


class Walk(RuleBasedStateMachine):
    """Any sequence of wishes: a case only ever takes edges that exist, and its history tells each of them."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.room = open_room(Path(self.folder.name))
        technician, expert = self.room.person(Role.TECHNICIAN), self.room.person(Role.EXPERT)
        self.case = self.room.case(State.SCHEDULED, technician, expert)
        self.path = [State.SCHEDULED]

    @rule(wanted=st.sampled_from(State))
    def wish(self, wanted: State) -> None:
        allowed = wanted in EDGES[self.path[-1]]
        try:
            with self.room.core.catalog.write() as session:
                move(session, lock_case(session, self.case.id), wanted, "walker")
        except IllegalTransition:
            assert not allowed
        else:
            assert allowed
            self.path.append(wanted)

    @invariant()
    def history_is_the_path(self) -> None:
        with self.room.core.catalog.read() as session:
            assert self.room.load(session, self.case).state is self.path[-1]
            rows = session.query(Transition).order_by(Transition.id).all()
            assert [row.new for row in rows] == self.path[1:]

    def teardown(self) -> None:
        self.room.core.close()
        self.folder.cleanup()


TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
