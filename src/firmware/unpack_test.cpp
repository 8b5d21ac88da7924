#include "firmware/unpack.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <lz4.h>
#include <lz4hc.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "base/bits.h"
#include "firmware/sample_kernel_test.h"

namespace mynah {
namespace {

using sample::Image;

// Something that compresses, but not to nothing.
Image content(size_t size) {
    Image out(size);
    uint32_t state = 1;
    for (size_t i = 0; i < size; ++i) {
        state = state * 1664525 + 1013904223;
        out[i] = static_cast<std::byte>(state >> 28);
    }
    return out;
}

Image pack_gzip(const Image& in) {
    Image out(in.size() + 1024);
    z_stream stream{};
    EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(in.data()));
    stream.avail_in = static_cast<uInt>(in.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}

// As Linux's build does it: x86 filter, CRC32.
Image pack_xz(const Image& in) {
    Image out(in.size() + 4096);
    lzma_options_lzma options;
    lzma_lzma_preset(&options, 6);
    const lzma_filter filters[] = {
        {LZMA_FILTER_X86, nullptr}, {LZMA_FILTER_LZMA2, &options}, {LZMA_VLI_UNKNOWN, nullptr}};
    size_t size = 0;
    EXPECT_EQ(
        lzma_stream_buffer_encode(const_cast<lzma_filter*>(filters), LZMA_CHECK_CRC32, nullptr,
                                  reinterpret_cast<const uint8_t*>(in.data()), in.size(),
                                  reinterpret_cast<uint8_t*>(out.data()), &size, out.size()),
        LZMA_OK);
    out.resize(size);
    return out;
}

Image pack_lzma(const Image& in) {
    Image out(in.size() + 4096);
    lzma_options_lzma options;
    lzma_lzma_preset(&options, 6);
    lzma_stream stream = LZMA_STREAM_INIT;
    EXPECT_EQ(lzma_alone_encoder(&stream, &options), LZMA_OK);
    stream.next_in = reinterpret_cast<const uint8_t*>(in.data());
    stream.avail_in = in.size();
    stream.next_out = reinterpret_cast<uint8_t*>(out.data());
    stream.avail_out = out.size();
    EXPECT_EQ(lzma_code(&stream, LZMA_FINISH), LZMA_STREAM_END);
    out.resize(stream.total_out);
    lzma_end(&stream);
    return out;
}

Image pack_zstd(const Image& in) {
    Image out(ZSTD_compressBound(in.size()));
    out.resize(ZSTD_compress(out.data(), out.size(), in.data(), in.size(), 3));
    return out;
}

Image pack_lz4(const Image& in) {
    constexpr size_t kBlock = 8u << 20;
    Image out;
    sample::append(out, uint32_t{0x184c2102});
    for (size_t at = 0; at < in.size(); at += kBlock) {
        const size_t size = std::min(kBlock, in.size() - at);
        Image block(LZ4_compressBound(static_cast<int>(size)));
        const int packed = LZ4_compress_default(
            reinterpret_cast<const char*>(in.data() + at), reinterpret_cast<char*>(block.data()),
            static_cast<int>(size), static_cast<int>(block.size()));
        block.resize(static_cast<size_t>(packed));
        sample::append(out, static_cast<uint32_t>(block.size()));
        out.insert(out.end(), block.begin(), block.end());
    }
    return out;
}

struct Case {
    Packing packing;
    Image (*pack)(const Image&);
};

class Unpack : public testing::TestWithParam<Case> {};

Image bytes_of(const UnpackedBytes& unpacked) {
    return {unpacked.bytes().begin(), unpacked.bytes().end()};
}

TEST_P(Unpack, GivesBackWhatWasPacked) {
    const Image in = content(100000);
    const Image packed = GetParam().pack(in);
    ASSERT_EQ(detect_packing(packed), GetParam().packing);
    const auto out = unpack(GetParam().packing, packed, in.size());
    ASSERT_TRUE(out) << out.error().message();
    EXPECT_EQ(bytes_of(out.value()), in);
}

TEST_P(Unpack, IgnoresTheLengthThatLinuxAppends) {
    const Image in = content(50000);
    Image packed = GetParam().pack(in);
    sample::append(packed, static_cast<uint32_t>(in.size()));
    const auto out = unpack(GetParam().packing, packed, in.size());
    ASSERT_TRUE(out) << out.error().message();
    EXPECT_EQ(bytes_of(out.value()), in);
}

TEST_P(Unpack, TruncatedDataIsAnError) {
    const Image in = content(50000);
    const Image packed = GetParam().pack(in);
    for (const size_t size : {packed.size() / 2, packed.size() - 1, size_t{7}}) {
        EXPECT_FALSE(unpack(GetParam().packing, std::span(packed).first(size), in.size())) << size;
    }
}

TEST_P(Unpack, MoreThanTheCapacityIsAnError) {
    const Image bomb = GetParam().pack(Image(4u << 20));
    EXPECT_LT(bomb.size(), 64u << 10);
    const auto out = unpack(GetParam().packing, bomb, 1u << 20);
    ASSERT_FALSE(out);
    EXPECT_THAT(out.error().message(), testing::AnyOf(testing::HasSubstr("more than 1048576 bytes"),
                                                      testing::HasSubstr("corrupt")));
}

INSTANTIATE_TEST_SUITE_P(
    Formats, Unpack,
    testing::Values(Case{Packing::kGzip, pack_gzip}, Case{Packing::kXz, pack_xz},
                    Case{Packing::kLzma, pack_lzma}, Case{Packing::kZstd, pack_zstd},
                    Case{Packing::kLz4Legacy, pack_lz4}),
    [](const auto& instance) { return std::string(packing_name(instance.param.packing)); });

TEST(UnpackLz4, SeveralBlocks) {
    const Image in = content((8u << 20) + 12345);
    Image packed = pack_lz4(in);
    sample::append(packed, static_cast<uint32_t>(in.size()));
    const auto out = unpack(Packing::kLz4Legacy, packed, in.size());
    ASSERT_TRUE(out) << out.error().message();
    EXPECT_EQ(bytes_of(out.value()), in);
}

TEST(UnpackDetect, ForeignDataIsNoPacking) {
    EXPECT_EQ(detect_packing(sample::text("BZh91AY&SY")), std::nullopt);
    EXPECT_EQ(detect_packing({}), std::nullopt);
}

}  // namespace
}  // namespace mynah
