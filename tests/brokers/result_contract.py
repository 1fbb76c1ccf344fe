"""What every ResultBackend promises."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from reinhardt_tasks.jobs import TaskId, TaskStatus, new_id
from reinhardt_tasks.result_backends import ResultBackend, TaskResultMetadata


class ResultBackendContract:
    """`results` is a fixture of those who inherit this."""

    def test_a_result_comes_back_as_it_was(self, results: ResultBackend) -> None:
        one = TaskResultMetadata(
            task_id=new_id(), status=TaskStatus.SUCCESS, result='{"né": "\\u0000🙂"}', created_at=7
        )
        results.store_result(one)
        assert results.get_result(one.task_id) == one

    def test_an_error_comes_back_without_a_result(self, results: ResultBackend) -> None:
        one = TaskResultMetadata.with_error(new_id(), "ValueError: 'quoted'\nin two lines")
        results.store_result(one)
        found = results.get_result(one.task_id)
        assert found == one and found.status is TaskStatus.FAILURE and found.result is None

    def test_a_status_may_be_given_by_its_text(self, results: ResultBackend) -> None:
        one = TaskResultMetadata(new_id(), "SUCCESS", "1")  # type: ignore[arg-type]
        results.store_result(one)
        found = results.get_result(one.task_id)
        assert found == one and found.status is TaskStatus.SUCCESS

    def test_what_is_stored_later_stands_in_place_of_what_was_there(self, results: ResultBackend) -> None:
        id_, other = new_id(), TaskResultMetadata(task_id=new_id(), status=TaskStatus.SUCCESS, result="2")
        results.store_result(other)
        results.store_result(TaskResultMetadata.with_error(id_, "no"))
        results.store_result(last := TaskResultMetadata(task_id=id_, status=TaskStatus.SUCCESS, result="1"))
        assert results.get_result(id_) == last
        assert results.get_result(other.task_id) == other

    def test_what_is_not_there_is_none_and_may_be_deleted(self, results: ResultBackend) -> None:
        assert results.get_result(new_id()) is None
        results.delete_result(new_id())

    def test_a_deleted_result_is_gone_and_no_other(self, results: ResultBackend) -> None:
        one, two = (TaskResultMetadata(task_id=new_id(), status=TaskStatus.SUCCESS, result="1") for _ in range(2))
        results.store_result(one)
        results.store_result(two)
        results.delete_result(one.task_id)
        assert results.get_result(one.task_id) is None
        assert results.get_result(two.task_id) == two

    def test_an_id_may_be_a_task_id(self, results: ResultBackend) -> None:
        id_ = TaskId()
        results.store_result(TaskResultMetadata.with_error(str(id_), "no"))
        assert results.get_result(id_) is not None  # type: ignore[arg-type]
        results.delete_result(id_)  # type: ignore[arg-type]
        assert results.get_result(str(id_)) is None

    def test_threads_that_store_one_result_leave_one_of_theirs(self, results: ResultBackend) -> None:
        with ThreadPoolExecutor(8) as threads:
            for _ in range(20):
                id_ = new_id()
                all_ = [TaskResultMetadata(task_id=id_, status=TaskStatus.SUCCESS, result=str(n)) for n in range(8)]
                list(threads.map(self.stored_in_a_thread(results), all_))
                assert results.get_result(id_) in all_

    @staticmethod
    def stored_in_a_thread(results: ResultBackend):  # type: ignore[no-untyped-def]
        from django.db import connections

        def store(one: TaskResultMetadata) -> None:
            try:
                results.store_result(one)
            finally:
                connections.close_all()

        return store
