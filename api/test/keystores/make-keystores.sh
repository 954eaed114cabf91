#!/bin/sh
# Makes java.json and openssl.json, the keystores that tests upload. Needs keytool 17, openssl 3 and jq; run by hand only.
# All keys are for tests and known to the world.
set -eu
out=$(cd "$(dirname "$0")" && pwd)
cd "$(mktemp -d)"
pass=test-password
key() { keytool -genkeypair -noprompt -dname "$dname" "$@"; }
ec='-keyalg EC -groupname secp256r1'
rsa='-keyalg RSA -keysize 2048'
long='-validity 10000'
dname='CN=Upload Key, O=Capstan Test'
key -keystore rsa.p12 -storetype PKCS12 -storepass $pass -alias upload $rsa $long
key -keystore ec.p12 -storetype PKCS12 -storepass $pass -alias upload $ec $long
key -keystore two.p12 -storetype PKCS12 -storepass $pass -alias first $ec $long
key -keystore two.p12 -storetype PKCS12 -storepass $pass -alias Second $ec $long
key -keystore legacy.p12 -J-Dkeystore.pkcs12.legacy=true -storetype PKCS12 -storepass $pass -alias upload $rsa $long
key -keystore rsa.jks -storetype JKS -storepass $pass -keypass other-key-pass -alias Upload $rsa $long
key -keystore ec.jks -storetype JKS -storepass $pass -keypass $pass -alias upload $ec $long
key -keystore two.jks -storetype JKS -storepass $pass -keypass $pass -alias one $ec $long
key -keystore two.jks -storetype JKS -storepass $pass -keypass $pass -alias two $ec $long
key -keystore dsa.jks -storetype JKS -storepass $pass -keypass $pass -alias upload -keyalg DSA -keysize 1024 -sigalg SHA1withDSA $long
key -keystore jceks.jceks -storetype JCEKS -storepass $pass -keypass $pass -alias upload $ec $long
key -keystore expired.p12 -storetype PKCS12 -storepass $pass -alias upload $ec -startdate -400d -validity 30
key -keystore short.p12 -storetype PKCS12 -storepass $pass -alias upload -keyalg RSA -keysize 1024 -sigalg SHA1withRSA -validity 1500
dname='CN=Android Debug, O=Android, C=US'
key -keystore debug.p12 -storetype PKCS12 -storepass android -alias androiddebugkey $ec $long
keytool -exportcert -keystore ec.p12 -storepass $pass -alias upload -file ec.cer
keytool -importcert -noprompt -keystore cert-only.p12 -storetype PKCS12 -storepass $pass -alias upload -file ec.cer
keytool -importcert -noprompt -keystore cert-only.jks -storetype JKS -storepass $pass -alias upload -file ec.cer

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k -out c -days 10000 -subj '/CN=OpenSSL Key/O=Capstan Test'
openssl req -x509 -newkey rsa:2048 -nodes -keyout rk -out rc -days 10000 -subj '/CN=OpenSSL Key/O=Capstan Test'
p12() { file=$1; shift; openssl pkcs12 -export -inkey k -in c -out "$file" "$@"; }
p12 modern.p12 -name upload -passout pass:$pass
p12 unnamed.p12 -passout pass:$pass
p12 nomac.p12 -name upload -passout pass:$pass -nomac
p12 bomb.p12 -name upload -passout pass:$pass -iter 2000000
p12 sha224.p12 -name upload -passout pass:$pass -macalg sha224
p12 camellia.p12 -name upload -passout pass:$pass -keypbe CAMELLIA-256-CBC -certpbe CAMELLIA-256-CBC
p12 unicode.p12 -name upload -passout pass:pässword
openssl pkcs12 -export -inkey rk -in rc -out keychain.p12 -name upload -passout pass:$pass -legacy
openssl pkcs12 -export -inkey rk -in rc -out slow.p12 -name upload -passout pass:$pass -iter 1000000

sha() { openssl x509 -in "$1" -noout -fingerprint -sha256 | sed 's/.*=//; s/://g' | tr 'A-F' 'a-f'; }
of() { keytool -list -v -keystore "$1" -storepass "$2" | sed -n 's/.*SHA256: //p' | tr -d ':' | tr 'A-F' 'a-f' | jq -R . | jq -s .; }
entry() { jq -n --arg name "$1" --arg b64 "$(base64 -w0 "$1")" --argjson sha "$2" '{($name): {fileB64: $b64, sha256: $sha}}'; }
for f in rsa.p12 ec.p12 two.p12 legacy.p12 rsa.jks ec.jks two.jks dsa.jks jceks.jceks expired.p12 short.p12 debug.p12 cert-only.p12 cert-only.jks; do
  entry $f "$(of $f $([ $f = debug.p12 ] && echo android || echo $pass))"
done | jq -s add > "$out/java.json"
for f in modern.p12 unnamed.p12 nomac.p12 bomb.p12 sha224.p12 camellia.p12 unicode.p12; do entry $f "[\"$(sha c)\"]"; done > list
for f in keychain.p12 slow.p12; do entry $f "[\"$(sha rc)\"]"; done >> list
jq -s add list > "$out/openssl.json"
