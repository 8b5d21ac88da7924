// Does to a disk image what lines of standard input say, through the library that machines use. For
// tests/images/run, as qemu-io is for QEMU. Each line is answered with "ok", "hash N" or
// "error TEXT".
//
//   open FORMAT PATH | close | write OFFSET SIZE BYTE | zero OFFSET SIZE UNMAP | discard OFFSET SIZE
//   read OFFSET SIZE | flush | resize SIZE | snapshot NAME | apply NAME | delete NAME
#include <zlib.h>

#include <cstdint>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "backend/block/image/open_image.h"

namespace {

using namespace mynah;

std::string say(BlockStatus status) {
    return status == BlockStatus::kOk ? "ok" : std::string("error ") + describe(status);
}
std::string say(const Result<void>& result) {
    return result.ok() ? "ok" : "error " + result.error().message();
}

std::string open_line(std::unique_ptr<DiskImage>& image, std::istream& words) {
    ImageOpenOptions options;
    words >> options.format >> options.path;
    auto opened = open_image(options);
    if (!opened) return "error " + opened.error().message();
    image = opened.take_value();
    return "ok";
}

std::string perform(DiskImage& image, const std::string& verb, std::istream& words) {
    uint64_t offset = 0, size = 0, extra = 0;
    std::string name;
    if (verb == "snapshot" || verb == "apply" || verb == "delete") {
        words >> name;
        if (verb == "snapshot") return say(image.create_snapshot(name, 1));
        return say(verb == "apply" ? image.apply_snapshot(name) : image.delete_snapshot(name));
    }
    if (verb == "flush") return say(image.flush());
    words >> offset >> size >> extra;
    if (verb == "resize") return say(image.resize(offset));
    if (offset > image.size() || size > image.size() - offset) return "error beyond the end";
    if (verb == "zero") return say(image.write_zeroes(offset, size, extra != 0));
    if (verb == "discard") return say(image.discard(offset, size));
    std::vector<std::byte> bytes(size, static_cast<std::byte>(extra));
    if (verb == "write") return say(image.write(offset, bytes));
    if (verb != "read") return "error unknown word";
    const BlockStatus status = image.read_bytes(offset, bytes);
    return status == BlockStatus::kOk ? "hash " + std::to_string(crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size()))) : say(status);
}

}  // namespace

int main() {
    std::unique_ptr<DiskImage> image;
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream words(line);
        std::string verb, answer = "ok";
        words >> verb;
        if (verb == "open")
            answer = open_line(image, words);
        else if (verb == "close")
            image.reset();
        else
            answer = image ? perform(*image, verb, words) : "error nothing is open";
        std::cout << answer << std::endl;
    }
}
