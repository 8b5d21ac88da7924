#include "cli/video_option.h"

#include <fmt/core.h>

#include "cli/option_value.h"
#include "cli/value_keys.h"

namespace mynah {
namespace {

constexpr uint64_t kSideMost = 4094;  // what an EDID can tell

}  // namespace

Result<void> apply_video_option(RunOptions& options, std::string_view value) {
    using Model = VideoConfig::Model;
    VideoConfig video;
    std::vector<ValuePart> parts = split_value(value);
    const std::string& kind = parts.front().value;
    if (!parts.front().key.empty() && parts.front().key != "model")
        return Error("expected vga, virtio or none");
    if (kind == "vga") {
        video.model = Model::kVga;
    } else if (kind == "virtio") {
        video.model = Model::kVirtio;
    } else if (kind == "none") {
        video.model = Model::kNone;
        if (parts.size() > 1) return Error("none takes no more parts");
    } else {
        return Error("expected vga, virtio or none");
    }
    const auto side = [](std::string_view key, uint16_t& place, uint64_t least) {
        return ValueKey{key, [&place, least](const std::string& text) -> Result<void> {
                            const auto pixels = parse_number(text);
                            if (!pixels || pixels.value() < least || pixels.value() > kSideMost ||
                                pixels.value() % 2 != 0) {
                                return Error(fmt::format("expected an even number, {} to {}", least,
                                                         kSideMost));
                            }
                            place = static_cast<uint16_t>(pixels.value());
                            return {};
                        }};
    };
    const auto set_vga = [&video](const std::string& word) -> Result<void> {
        if (video.model != Model::kVirtio) return Error("it goes with virtio");
        video.vga = TRY(parse_switch(word));
        return {};
    };
    const ValueKey keys[] = {
        {"vga", set_vga}, side("xres", video.width, 320), side("yres", video.height, 200)};
    TRY(apply_value_keys(std::span(parts).subspan(1), keys));
    options.machine.devices.video = video;
    return {};
}

}  // namespace mynah
