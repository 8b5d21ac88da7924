#include "backend/display/vnc_password.h"

#include <nettle/des.h>
#include <sys/random.h>

#include <algorithm>

#include "base/check.h"

namespace mynah {

VncChallenge make_vnc_challenge() {
    VncChallenge challenge;
    CHECK(getrandom(challenge.data(), challenge.size(), 0) ==
          static_cast<ssize_t>(challenge.size()));
    return challenge;
}

VncChallenge answer_vnc_challenge(const VncChallenge& challenge, const std::string& password) {
    // The bits of each byte of the key are taken in the other order than DES has them.
    std::array<uint8_t, DES_KEY_SIZE> key{};
    for (size_t i = 0; i < std::min(key.size(), password.size()); ++i) {
        const auto character = static_cast<uint8_t>(password[i]);
        for (unsigned position = 0; position < 8; ++position) {
            if ((character >> position & 1) != 0) key[i] |= static_cast<uint8_t>(0x80 >> position);
        }
    }
    des_ctx context;
    des_set_key(&context, key.data());  // says whether the key is weak, which is no news
    VncChallenge answer;
    des_encrypt(&context, answer.size(), reinterpret_cast<uint8_t*>(answer.data()),
                reinterpret_cast<const uint8_t*>(challenge.data()));
    return answer;
}

bool same_answer(const VncChallenge& expected, std::span<const std::byte, 16> given) {
    std::byte difference{0};
    for (size_t i = 0; i < expected.size(); ++i) difference |= expected[i] ^ given[i];
    return difference == std::byte{0};
}

}  // namespace mynah
