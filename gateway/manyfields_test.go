package gateway

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
)

// manyFields is a request with as many fields as the default limits allow, and about as many bytes.
func manyFields(name func(i int) string, value string) *request {
	q := &request{method: []byte("GET"), raw: []byte("/"), contentLength: -1}
	for i := range defaultHeadLimits.fields {
		q.fields = append(q.fields, field{[]byte(name(i)), []byte(value)})
	}
	return q
}

func TestManyFieldsOfOneNameAreJoinedInLittleMemory(t *testing.T) {
	value := string(bytes.Repeat([]byte("v"), 240))
	q := manyFields(func(int) string { return "X-A" }, value)
	rec := make([]byte, 0, 256<<10)
	for _, policy := range []HeaderPolicy{DropUnderscores, AllowUnderscores} {
		e := endpoints{scheme: "http", remoteAddr: "192.0.2.1", headerPolicy: policy}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		appendEnviron(rec, q, []byte("/"), &Mount{}, nil, &e, -1)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
			t.Errorf("%v: 64 KiB of fields take %d bytes", policy, n)
		}
		q = manyFields(func(int) string { return "X_A" }, value)
	}
}

func TestManyLongNamesAreComparedWithoutLookingAtEachPair(t *testing.T) {
	long := string(bytes.Repeat([]byte("a"), 240))
	for _, separator := range []string{"-", "_"} {
		q := manyFields(func(i int) string { return fmt.Sprintf("%s%sX%04d", long, separator, i/2) }, "")
		q.sumNames()
		same := 0
		for i := range q.fields {
			for j := range q.fields {
				if i != j && q.mayBeSame(i, j) {
					same++
				}
			}
		}
		if want := len(q.fields); same != want {
			t.Errorf("%d pairs are looked at, not %d", same, want)
		}
	}
}

func TestManyFieldsBecomeTheSameKeysAsFew(t *testing.T) {
	q := manyFields(func(i int) string { return []string{"X-One", "x-oNe", "X_One", "X-Two", "x_three", "X_Three"}[i%6] }, "v")
	for _, policy := range []HeaderPolicy{DropUnderscores, AllowUnderscores} {
		e := endpoints{scheme: "http", remoteAddr: "192.0.2.1", headerPolicy: policy}
		many := appendEnviron(nil, q, []byte("/"), &Mount{}, nil, &e, -1)
		var few []byte
		few = append(few, many[:bytes.Index(many, []byte("HTTP_"))-8]...)
		q.sums = nil
		for i := range q.fields {
			few = appendField(few, q, i, &e, -1)
		}
		if !bytes.Equal(many, few) || bytes.Count(many, []byte("HTTP_X_ONE")) != 1 {
			t.Errorf("%v: %q, not %q", policy, many, few)
		}
	}
}
