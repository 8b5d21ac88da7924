#include "firmware/initrd_check.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include "firmware/sample_kernel_test.h"

namespace mynah {
namespace {

using sample::Image;

void append_entry(Image& archive, const std::string& name, const std::string& data) {
    std::string header = "070701";
    for (unsigned field = 0; field < 13; ++field) {
        const size_t value = field == 6 ? data.size() : field == 11 ? name.size() + 1 : 0;
        header += fmt::format("{:08X}", value);
    }
    const Image head = sample::text(header + name);
    archive.insert(archive.end(), head.begin(), head.end());
    archive.resize(align_up(archive.size() + 1, 4));
    const Image body = sample::text(data);
    archive.insert(archive.end(), body.begin(), body.end());
    archive.resize(align_up(archive.size(), 4));
}

Image archive() {
    Image out;
    append_entry(out, "init", "#!/bin/sh\necho hello world\n");
    append_entry(out, "etc/motd", std::string(5000, 'x'));
    append_entry(out, "TRAILER!!!", "");
    return out;
}

Image gzip(const Image& in) {
    Image out(in.size() + 100);
    z_stream stream{};
    deflateInit2(&stream, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(in.data()));
    stream.avail_in = static_cast<uInt>(in.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    deflate(&stream, Z_FINISH);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}

Image zstd(const Image& in) {
    Image out(ZSTD_compressBound(in.size()));
    out.resize(ZSTD_compress(out.data(), out.size(), in.data(), in.size(), 3));
    return out;
}

bool accepted(std::span<const std::byte> bytes) {
    return check_initrd(BootFile{bytes, "--initrd i"}).ok();
}

Image operator+(Image a, const Image& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

TEST(InitrdCheck, TakesWhatLinuxTakes) {
    EXPECT_TRUE(accepted(archive()));
    EXPECT_TRUE(accepted(gzip(archive())));
    EXPECT_TRUE(accepted(zstd(archive())));
    EXPECT_TRUE(accepted(archive() + Image(512) + zstd(archive())));  // microcode in front
    EXPECT_TRUE(accepted(gzip(archive()) + Image(100)));
}

TEST(InitrdCheck, TruncatedIsRefusedWhereverItIsCut) {
    for (const Image& whole : {archive(), gzip(archive()), zstd(archive())}) {
        for (size_t size = 1; size + 4 < whole.size(); size += 3) {
            EXPECT_FALSE(accepted(std::span(whole).first(size))) << size;
        }
    }
}

TEST(InitrdCheck, ForeignOrEmptyIsRefused) {
    EXPECT_FALSE(accepted({}));
    EXPECT_FALSE(accepted(sample::text("hello")));
    EXPECT_FALSE(accepted(Image(4096)));
}

TEST(InitrdCheck, LengthsBeyondTheFileAreRefused) {
    Image image = archive();
    std::memset(image.data() + 6 + 6 * 8, 'F', 8);
    EXPECT_FALSE(accepted(image));
}

}  // namespace
}  // namespace mynah
