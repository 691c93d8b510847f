package gateway

import "sync/atomic"

// expecting bounds how many requests the app has before their body because of Expect: 100-continue: the app may refuse them first, but each
// holds one of its threads for as long as a client takes. More are told to go on at once and read ahead, which PEP 3333 allows, too (section "HTTP
// 1.1 Expect/Continue").
type expecting struct {
	now  atomic.Int32
	most int32
}

// expectingMost lets a quarter of the app's threads wait: none where it has fewer than four.
func expectingMost(app App) int32 {
	threads := 16
	if t, ok := app.(interface{ Threads() int }); ok {
		threads = t.Threads()
	}
	return int32(threads / 4)
}

// begin says whether one more may. If so, end must follow.
func (e *expecting) begin() bool {
	if e.now.Add(1) <= e.most {
		return true
	}
	e.now.Add(-1)
	return false
}

func (e *expecting) end() { e.now.Add(-1) }
