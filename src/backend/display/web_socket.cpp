#include "backend/display/web_socket.h"

#include <nettle/base64.h>
#include <nettle/sha1.h>

#include <algorithm>

namespace mynah {
namespace {

constexpr uint8_t kFinal = 0x80, kMasked = 0x80, kReserved = 0x70;
// Kinds up to kBinary carry data.
constexpr uint8_t kBinary = 2, kClose = 8, kPing = 9, kPong = 10;

void append_frame(uint8_t opcode, std::span<const std::byte> payload, std::vector<std::byte>& out) {
    out.push_back(static_cast<std::byte>(kFinal | opcode));
    const uint64_t size = payload.size();
    const auto add = [&](unsigned bytes) {
        for (unsigned i = bytes; i-- > 0;) out.push_back(static_cast<std::byte>(size >> (8 * i)));
    };
    if (size < 126) {
        add(1);
    } else if (size < 65536) {
        out.push_back(std::byte{126});
        add(2);
    } else {
        out.push_back(std::byte{127});
        add(8);
    }
    out.insert(out.end(), payload.begin(), payload.end());
}

}  // namespace

void WebSocket::append_message(std::span<const std::byte> payload, std::vector<std::byte>& out) {
    append_frame(kBinary, payload, out);
}

std::string WebSocket::accept_key(const std::string& key) {
    const std::string text = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    sha1_ctx context;
    sha1_init(&context);
    sha1_update(&context, text.size(), reinterpret_cast<const uint8_t*>(text.data()));
    std::array<uint8_t, SHA1_DIGEST_SIZE> digest;
    sha1_digest(&context, digest.size(), digest.data());
    std::string encoded(BASE64_ENCODE_RAW_LENGTH(SHA1_DIGEST_SIZE), '\0');
    base64_encode_raw(encoded.data(), digest.size(), digest.data());
    return encoded;
}

// How long the header is, as far as its beginning tells; at least 2.
size_t WebSocket::header_bytes(std::span<const std::byte> header) {
    if (header.size() < 2) return 2;
    const auto second = static_cast<uint8_t>(header[1]);
    const size_t length = (second & 0x7f) == 126 ? 2 : (second & 0x7f) == 127 ? 8 : 0;
    return 2 + length + 4;  // the mask is always there: a client without one breaks the rules
}

bool WebSocket::begin_frame() {
    const auto byte = [&](size_t at) { return static_cast<uint8_t>(header_[at]); };
    if ((byte(0) & kReserved) != 0 || (byte(1) & kMasked) == 0) return false;
    opcode_ = byte(0) & 0xf;
    remaining_ = byte(1) & 0x7f;
    const size_t extended = header_.size() - 6;
    if (extended > 0) remaining_ = 0;
    for (size_t i = 0; i < extended; ++i) remaining_ = remaining_ << 8 | byte(2 + i);
    std::copy(header_.end() - 4, header_.end(), mask_.begin());
    position_ = 0;
    header_.clear();
    control_.clear();
    in_frame_ = true;
    const bool control = opcode_ >= kClose;
    if (control) return opcode_ <= kPong && remaining_ <= kControlMost;
    return opcode_ <= kBinary;
}

bool WebSocket::end_frame(std::vector<std::byte>& reply) {
    in_frame_ = false;
    if (opcode_ == kPing) append_frame(kPong, control_, reply);
    if (opcode_ == kClose) {
        append_frame(kClose, control_, reply);
        return false;
    }
    return true;
}

bool WebSocket::receive(std::span<const std::byte> bytes, std::vector<std::byte>& payload,
                        std::vector<std::byte>& reply) {
    while (!closed_ && !bytes.empty()) {
        if (!in_frame_) {
            header_.push_back(bytes.front());
            bytes = bytes.subspan(1);
            if (header_.size() < header_bytes(header_)) continue;
            if (!begin_frame()) closed_ = true;
            if (closed_ || remaining_ > 0) continue;
        }
        const size_t count = std::min<uint64_t>(remaining_, bytes.size());
        std::vector<std::byte>& to = opcode_ >= kClose ? control_ : payload;
        for (size_t i = 0; i < count; ++i) to.push_back(bytes[i] ^ mask_[position_++ & 3]);
        bytes = bytes.subspan(count);
        remaining_ -= count;
        if (remaining_ == 0 && !end_frame(reply)) closed_ = true;
    }
    return !closed_;
}

}  // namespace mynah
