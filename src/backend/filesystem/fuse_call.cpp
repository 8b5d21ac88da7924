#include "backend/filesystem/fuse_call.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace mynah {

std::optional<std::string> FuseCall::take_rest() {
    if (request_.size() > kMaxStrings) return std::nullopt;
    std::string text(request_.size(), '\0');
    if (!request_.take_front(std::as_writable_bytes(std::span(text)))) return std::nullopt;
    return text;
}

std::optional<std::vector<std::string>> FuseCall::take_strings(size_t count) {
    const auto text = take_rest();
    if (!text) return std::nullopt;
    std::vector<std::string> strings;
    size_t at = 0;
    for (size_t i = 0; i < count; ++i) {
        const size_t end = text->find('\0', at);
        if (end == std::string::npos) return std::nullopt;
        strings.push_back(text->substr(at, end - at));
        at = end + 1;
    }
    return strings;
}

std::optional<FuseCall::Named> FuseCall::take_named() {
    const auto text = take_rest();
    if (!text) return std::nullopt;
    const size_t end = text->find('\0');
    if (end == std::string::npos) return std::nullopt;
    return Named{text->substr(0, end), text->substr(end + 1)};
}

uint64_t FuseCall::room() const {
    return places_.size() - std::min<uint64_t>(places_.size(), sizeof(fuse_out_header));
}

std::vector<Slice> FuseCall::places(uint64_t size) const {
    std::vector<Slice> out;
    uint64_t skip = sizeof(fuse_out_header);
    for (Slice slice : places_.slices()) {
        const uint64_t part = std::min<uint64_t>(skip, slice.size());
        skip -= part;
        slice = slice.subspan(part);
        slice = slice.first(std::min<uint64_t>(slice.size(), size));
        size -= slice.size();
        if (!slice.empty()) out.push_back(slice);
    }
    return out;
}

uint32_t FuseCall::finish(int error) {
    if (places_.size() < sizeof(fuse_out_header)) return 0;
    if (error == 0 && body_.size() > room()) error = EIO;  // the guest left no place for it
    if (error != 0) {
        body_.clear();
        direct_ = 0;
    }
    const uint64_t length = sizeof(fuse_out_header) + (direct_ > 0 ? direct_ : body_.size());
    const fuse_out_header out{static_cast<uint32_t>(length), -error, header_.unique};
    std::vector<std::byte> bytes(sizeof out);
    std::memcpy(bytes.data(), &out, sizeof out);
    bytes.insert(bytes.end(), body_.begin(), body_.end());
    SliceList places = places_;
    places.fill(bytes);
    return out.len;
}

}  // namespace mynah
