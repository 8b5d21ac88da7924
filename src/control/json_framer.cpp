#include "control/json_framer.h"

namespace mynah {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

}  // namespace

JsonFramer::Frame JsonFramer::give_up() {
    over_ = true;
    pending_.clear();
    return {Kind::kTooMuch, {}};
}

std::optional<JsonFramer::Frame> JsonFramer::take_junk() {
    const size_t end = pending_.find('\n');
    if (end == std::string::npos) {
        if (pending_.size() > kSizeMost) return give_up();
        return std::nullopt;
    }
    pending_.erase(0, end + 1);
    return Frame{Kind::kJunk, {}};
}

std::optional<JsonFramer::Frame> JsonFramer::take_object() {
    for (; seen_ < pending_.size(); ++seen_) {
        if (seen_ >= kSizeMost) return give_up();
        const char c = pending_[seen_];
        if (in_string_) {
            if (escaped_) {
                escaped_ = false;
            } else if (c == '\\') {
                escaped_ = true;
            } else if (c == '"') {
                in_string_ = false;
            }
        } else if (c == '"') {
            in_string_ = true;
        } else if (c == '{' || c == '[') {
            if (++depth_ > kDepthMost) return give_up();
        } else if (c == '}' || c == ']') {
            if (--depth_ > 0) continue;
            Frame frame{Kind::kObject, pending_.substr(0, seen_ + 1)};
            pending_.erase(0, seen_ + 1);
            seen_ = 0;
            return frame;
        }
    }
    return std::nullopt;
}

std::optional<JsonFramer::Frame> JsonFramer::next() {
    if (over_) {
        pending_.clear();
        return std::nullopt;
    }
    if (depth_ == 0) {
        const size_t begin = pending_.find_first_not_of(kSpace);
        pending_.erase(0, begin);  // all of it, if there is nothing else
        if (pending_.empty()) return std::nullopt;
        if (pending_.front() != '{') return take_junk();
    }
    return take_object();
}

}  // namespace mynah
