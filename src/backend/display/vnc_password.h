#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>

namespace mynah {

// The challenge of VNC authentication [RFC 6143 7.2.2]: the viewer encrypts it with the password.
using VncChallenge = std::array<std::byte, 16>;

VncChallenge make_vnc_challenge();

// What a viewer that knows the password answers. Only its first eight characters count; the cipher
// (DES) is the protocol's, and too weak for anything but a trusted path.
VncChallenge answer_vnc_challenge(const VncChallenge& challenge, const std::string& password);

// Compares in a time that does not depend on where they differ.
bool same_answer(const VncChallenge& expected, std::span<const std::byte, 16> given);

}  // namespace mynah
