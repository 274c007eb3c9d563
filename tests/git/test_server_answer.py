from stepkit.git import server_answer
from stepkit.git.server_answer import Answer

TRACE = """\
09:06:39.437960 http.c:725              == Info: Connected to 127.0.0.1 (127.0.0.1) port 43135 (#0)
09:06:39.438149 http.c:684              => Send header: GET /r.git/info/refs HTTP/1.1
09:06:39.438940 http.c:684              <= Recv header: HTTP/1.1 401 Unauthorized
09:06:39.438941 http.c:684              <= Recv header: Retry-After: 99
09:06:39.438942 http.c:684              <= Recv header: Content-Type: text/plain
09:06:39.438943 http.c:684              <= Recv header:
09:06:39.438940 http.c:684              <= Recv header: HTTP/2 200
09:06:39.438941 http.c:684              <= Recv header: content-type: text/HTML; charset=utf-8
09:06:39.438943 http.c:684              <= Recv header:
"""


def test_the_last_answer_counts_in_any_version_of_http() -> None:
    answer = server_answer.read(TRACE)

    assert answer == Answer(status=200, content_type="text/html; charset=utf-8")
    assert answer.is_web_page


def test_a_page_with_an_error_and_no_answer_are_no_web_page() -> None:
    assert server_answer.read("") == Answer()
    assert not Answer(status=404, content_type="text/html").is_web_page
    assert not Answer(status=200, content_type="application/x-git-upload-pack-result").is_web_page
