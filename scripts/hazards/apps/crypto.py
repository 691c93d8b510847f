"""cryptography (Fernet, RSA), hashlib.scrypt"""
import hashlib

from _app import text
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa


@text
def app(environ):
    box = Fernet(Fernet.generate_key())
    assert box.decrypt(box.encrypt(b"x")) == b"x"
    key = rsa.generate_private_key(65537, 2048)
    key.public_key().verify(key.sign(b"x", padding.PKCS1v15(), hashes.SHA256()), b"x", padding.PKCS1v15(), hashes.SHA256())
    assert len(hashlib.scrypt(b"x", salt=b"y", n=1024, r=8, p=1)) == 64
    return "ok"
