package pyhost

import "encoding/binary"

// AppendPair appends a key and a value to a record: two native-endian 32-bit lengths, then the bytes of both. Neither is interpreted.
func AppendPair(rec []byte, key, value string) []byte {
	rec = binary.NativeEndian.AppendUint32(rec, uint32(len(key)))
	rec = binary.NativeEndian.AppendUint32(rec, uint32(len(value)))
	rec = append(rec, key...)
	return append(rec, value...)
}

// NextPair splits the first pair off a record. ok is false at its end and where the record is malformed; then rest is what could not be
// read (empty at the end).
func NextPair(rec []byte) (key, value, rest []byte, ok bool) {
	if len(rec) < 8 {
		return nil, nil, rec, false
	}
	k, v := uint64(binary.NativeEndian.Uint32(rec)), uint64(binary.NativeEndian.Uint32(rec[4:]))
	if uint64(len(rec))-8 < k+v {
		return nil, nil, rec, false
	}
	return rec[8 : 8+k : 8+k], rec[8+k : 8+k+v : 8+k+v], rec[8+k+v:], true
}
