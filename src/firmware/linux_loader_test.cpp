#include "firmware/linux_loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zstd.h>

#include "firmware/low_memory.h"
#include "firmware/sample_kernel_test.h"

namespace mynah {
namespace {

using sample::Image;
using testing::HasSubstr;
using testing::StartsWith;

constexpr GuestPhys kParams{low_memory::kBootParams};

Image zstd_with_length(const Image& in) {
    Image out(ZSTD_compressBound(in.size()));
    out.resize(ZSTD_compress(out.data(), out.size(), in.data(), in.size(), 3));
    sample::append(out, static_cast<uint32_t>(in.size()));
    return out;
}

class LinuxLoader : public testing::Test {
  protected:
    LinuxLoader() : memory_(sample::memory()), map_(make_e820(memory_->ranges())) {
        boot_.command_line = "console=ttyS0";
        boot_.memory_map = map_;
        boot_.rsdp = GuestPhys(0xe0000);
        boot_.kernel.origin = "--kernel k";
    }
    Result<EntryPoint> load(const Image& kernel) {
        boot_.kernel.bytes = kernel;
        return load_kernel(*memory_, boot_);
    }
    std::string failure(const Image& kernel) {
        const auto result = load(kernel);
        return result ? "" : result.error().message();
    }
    template <typename T>
    T param(uint64_t offset) {
        return *memory_->load<T>(kParams + offset);
    }
    std::string string_at(uint64_t address) {
        return reinterpret_cast<const char*>(memory_->host(GuestPhys(address), 1));
    }
    void give_initrd(const Image& bytes) {
        initrd_ = bytes;
        boot_.initrd = BootFile{initrd_, "--initrd i"};
    }

    std::unique_ptr<GuestMemory> memory_;
    std::vector<E820Entry> map_;
    KernelBoot boot_;
    Image initrd_;
};

Image cpio() {
    Image out = sample::text("070701" + std::string(8 * 11, '0') + "0000000B" +
                             std::string(8, '0') + "TRAILER!!!");
    out.resize(align_up(out.size() + 1, 4));
    return out;
}

// --- bzImage -------------------------------------------------------------------------------------

TEST_F(LinuxLoader, PackedKernelIsEnteredAtItsPreferredAddressPlus200h) {
    boot_.unpack = false;
    const auto entry = load(sample::bzimage(sample::text("payload")));
    ASSERT_TRUE(entry) << entry.error().message();
    EXPECT_EQ(entry.value().kind, EntryPoint::Kind::kLinux64);
    EXPECT_EQ(entry.value().address.value, sample::kLoadAddress + 0x200);
    EXPECT_EQ(entry.value().argument, kParams);
    EXPECT_EQ(*memory_->load<uint8_t>(GuestPhys(sample::kLoadAddress)), 0x90);
    EXPECT_EQ(string_at(sample::kLoadAddress + 64), "payload");
}

TEST_F(LinuxLoader, KernelOf32BitsGetsThe32BitProtocol) {
    auto header = sample::default_header();
    header.xloadflags = 0;
    const auto entry = load(sample::bzimage(sample::text("payload"), header));
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry.value().kind, EntryPoint::Kind::kLinux32);
    EXPECT_EQ(entry.value().address.value, sample::kLoadAddress);
}

TEST_F(LinuxLoader, FixedKernelGoesToOneMegabyte) {
    boot_.unpack = false;
    auto header = sample::default_header();
    header.relocatable_kernel = 0;
    const auto entry = load(sample::bzimage(sample::text("payload"), header));
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry.value().address.value, 0x100200u);
}

TEST_F(LinuxLoader, PayloadIsUnpackedAndEnteredAtItsElfEntry) {
    const auto entry =
        load(sample::bzimage(zstd_with_length(sample::elf(sample::text("the kernel")))));
    ASSERT_TRUE(entry) << entry.error().message();
    EXPECT_EQ(entry.value().kind, EntryPoint::Kind::kLinux64);
    EXPECT_EQ(entry.value().address.value, sample::kLoadAddress);
    EXPECT_EQ(string_at(sample::kLoadAddress), "the kernel");
}

// Answers with one kernel whatever it is asked, or with nothing.
class FakeCache final : public UnpackCache {
  public:
    std::optional<UnpackedBytes> find(std::span<const std::byte>) override {
        if (!known) return std::nullopt;
        UnpackedBytes bytes(known->size());
        std::copy(known->begin(), known->end(), bytes.all().begin());
        return bytes;
    }
    void keep(std::span<const std::byte>, UnpackedBytes unpacked) override {
        kept.assign(unpacked.bytes().begin(), unpacked.bytes().end());
    }
    std::optional<Image> known;
    Image kept;
};

TEST_F(LinuxLoader, WhatWasUnpackedBeforeIsNotUnpackedAgain) {
    FakeCache cache;
    boot_.unpack_cache = &cache;
    const Image kernel = sample::bzimage(zstd_with_length(sample::elf(sample::text("the kernel"))));
    ASSERT_TRUE(load(kernel));
    EXPECT_EQ(cache.kept, sample::elf(sample::text("the kernel")));
    cache.known = sample::elf(sample::text("the cached"));
    cache.kept.clear();
    ASSERT_TRUE(load(kernel));
    EXPECT_EQ(string_at(sample::kLoadAddress), "the cached");
    EXPECT_TRUE(cache.kept.empty());
    // More than the kernel says it needs is not believed.
    cache.known->resize(cache.known->size() + (64u << 20));
    ASSERT_TRUE(load(kernel));
    EXPECT_EQ(string_at(sample::kLoadAddress), "the kernel");
}

TEST_F(LinuxLoader, PayloadOfUnknownPackingUnpacksItself) {
    const auto entry = load(sample::bzimage(sample::text("BZh91AY")));
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry.value().address.value, sample::kLoadAddress + 0x200);
}

TEST_F(LinuxLoader, MemoryBehindTheUnpackedKernelIsCleared) {
    const Image code = sample::text("the kernel");
    const GuestPhys bss(sample::kLoadAddress + code.size());
    ASSERT_TRUE(memory_->fill(bss, std::byte{0xff}, sample::kBssSize + 1));
    ASSERT_TRUE(load(sample::bzimage(zstd_with_length(sample::elf(code)))));
    EXPECT_EQ(*memory_->load<uint8_t>(bss), 0);
    EXPECT_EQ(*memory_->load<uint8_t>(bss + (sample::kBssSize - 1)), 0);
    EXPECT_EQ(*memory_->load<uint8_t>(bss + sample::kBssSize), 0xff);
}

TEST_F(LinuxLoader, BootParamsTellTheKernelEverything) {
    give_initrd(cpio());
    ASSERT_TRUE(load(sample::bzimage(sample::text("payload"))));
    EXPECT_EQ(param<uint32_t>(0x202), linux_boot::kHdrS);
    EXPECT_EQ(param<uint8_t>(0x210), 0xff);
    EXPECT_EQ(param<uint8_t>(0x211) & linux_boot::loadflags::kKaslr, 0);
    EXPECT_EQ(string_at(param<uint32_t>(0x228)), "console=ttyS0");
    EXPECT_EQ(param<uint64_t>(0x70), 0xe0000u);
    EXPECT_EQ(param<uint8_t>(0x1e8), map_.size());
    EXPECT_EQ(param<uint64_t>(0x2d0), 0u);
    EXPECT_EQ(param<uint64_t>(0x2d8), 0x9fc00u);
    EXPECT_EQ(param<uint32_t>(0x2e0), 1u);
    const uint64_t initrd = param<uint32_t>(0x218);
    EXPECT_EQ(param<uint32_t>(0x21c), initrd_.size());
    EXPECT_EQ(initrd % kPageSize, 0u);
    EXPECT_EQ(initrd, (uint64_t{64} << 20) - kPageSize);
    EXPECT_THAT(string_at(initrd), StartsWith("070701"));
}

TEST_F(LinuxLoader, InitrdStaysBelowTheKernelsLimit) {
    give_initrd(cpio());
    auto header = sample::default_header();
    header.initrd_addr_max = 0x2ffffff;
    ASSERT_TRUE(load(sample::bzimage(sample::text("payload"), header)));
    EXPECT_EQ(param<uint32_t>(0x218), 0x3000000u - kPageSize);
}

TEST_F(LinuxLoader, IdentityMapCoversFourGigabytes) {
    ASSERT_TRUE(load(sample::bzimage(sample::text("payload"))));
    const auto table = [&](uint64_t address, unsigned entry) {
        return *memory_->load<uint64_t>(GuestPhys(address + entry * 8));
    };
    const uint64_t pdpt = table(low_memory::kPageTables, 0) & ~kPageMask;
    const uint64_t last = table(pdpt, 3) & ~kPageMask;
    EXPECT_EQ(table(last, 511), 0xffe00000u | 0x83);
    EXPECT_EQ(table(pdpt, 4), 0u);
}

// --- ELF -----------------------------------------------------------------------------------------

TEST_F(LinuxLoader, ElfIsEnteredByItsPvhNote) {
    give_initrd(cpio());
    const auto entry = load(sample::elf(sample::text("the kernel")));
    ASSERT_TRUE(entry) << entry.error().message();
    EXPECT_EQ(entry.value().kind, EntryPoint::Kind::kPvh);
    EXPECT_EQ(entry.value().address.value, sample::kPvhEntry);
    const GuestPhys info = entry.value().argument;
    EXPECT_EQ(*memory_->load<uint32_t>(info), 0x336ec578u);
    EXPECT_EQ(*memory_->load<uint32_t>(info + 4), 1u);   // version
    EXPECT_EQ(*memory_->load<uint32_t>(info + 12), 1u);  // modules
    const auto module = *memory_->load<uint64_t>(info + 16);
    EXPECT_THAT(string_at(*memory_->load<uint64_t>(GuestPhys(module))), StartsWith("070701"));
    EXPECT_EQ(*memory_->load<uint64_t>(GuestPhys(module + 8)), initrd_.size());
    EXPECT_EQ(string_at(*memory_->load<uint64_t>(info + 24)), "console=ttyS0");
    EXPECT_EQ(*memory_->load<uint64_t>(info + 32), 0xe0000u);
    EXPECT_EQ(*memory_->load<uint32_t>(info + 48), map_.size());
    const auto map = *memory_->load<uint64_t>(info + 40);
    EXPECT_EQ(*memory_->load<uint64_t>(GuestPhys(map + 8)), 0x9fc00u);
}

// --- What is wrong with a file is said in one line that names it.
// -------------------------------------

TEST_F(LinuxLoader, ForeignKernelIsRefused) {
    EXPECT_THAT(failure(sample::text("#!/bin/sh\n")), StartsWith("--kernel k: not a kernel"));
}

TEST_F(LinuxLoader, TruncatedBzImageIsRefusedWhereverItIsCut) {
    const Image whole = sample::bzimage(zstd_with_length(sample::elf(sample::text("the kernel"))));
    for (size_t size = 0; size <= whole.size() - 16; ++size) {
        const Image cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size));
        ASSERT_THAT(failure(cut), StartsWith("--kernel k: ")) << size;
    }
    EXPECT_THAT(failure({whole.begin(), whole.end() - 16}), HasSubstr("truncated"));
}

TEST_F(LinuxLoader, BzImageMayEndWithinItsLastParagraph) {
    auto header = sample::default_header();
    Image code(sample::bzimage(zstd_with_length(sample::elf(sample::text("the kernel"))), header));
    code.resize(code.size() + 16);  // a paragraph after the payload, of which one byte is there
    auto* syssize = code.data() + linux_boot::kSetupHeaderOffset +
                    offsetof(linux_boot::SetupHeader, syssize);
    store_unaligned(syssize, load_unaligned<uint32_t>(syssize) + 1);
    code.resize(code.size() - 15);
    const auto entry = load(code);
    EXPECT_TRUE(entry) << entry.error().message();
    code.pop_back();
    EXPECT_THAT(failure(code), HasSubstr("truncated"));
}

TEST_F(LinuxLoader, TruncatedElfIsRefusedWhereverItIsCut) {
    const Image whole = sample::elf(sample::text("the kernel"));
    for (size_t size = 0; size < whole.size(); ++size) {
        const Image cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size));
        ASSERT_THAT(failure(cut), StartsWith("--kernel k: ")) << size;
    }
}

TEST_F(LinuxLoader, DamagedPayloadIsRefused) {
    Image payload = zstd_with_length(sample::elf(sample::text("the kernel")));
    payload[8] ^= std::byte{0xff};
    EXPECT_THAT(failure(sample::bzimage(payload)), HasSubstr("damaged"));
}

TEST_F(LinuxLoader, ElfWithoutPvhNoteIsRefused) {
    EXPECT_THAT(failure(sample::elf(sample::text("the kernel"), false)),
                HasSubstr("without a PVH entry"));
}

TEST_F(LinuxLoader, ElfOfAnotherMachineIsRefused) {
    Image image = sample::elf(sample::text("the kernel"));
    image[offsetof(Elf64_Ehdr, e_machine)] = std::byte{EM_AARCH64};
    EXPECT_THAT(failure(image), HasSubstr("another machine"));
}

TEST_F(LinuxLoader, OldProtocolIsRefused) {
    auto header = sample::default_header();
    header.version = 0x0204;
    EXPECT_THAT(failure(sample::bzimage(sample::text("payload"), header)),
                HasSubstr("boot protocol 2.04"));
}

TEST_F(LinuxLoader, KernelThatNeedsMoreMemoryIsRefused) {
    boot_.unpack = false;
    auto header = sample::default_header();
    header.init_size = 0x10000000;
    EXPECT_THAT(failure(sample::bzimage(sample::text("payload"), header)), HasSubstr("--memory"));
}

TEST_F(LinuxLoader, PayloadLargerThanMemoryIsRefused) {
    Image payload = zstd_with_length(sample::elf(sample::text("the kernel")));
    payload.back() = std::byte{0x7f};  // of the length that the build appends
    EXPECT_THAT(failure(sample::bzimage(payload)), HasSubstr("--memory"));
}

TEST_F(LinuxLoader, SegmentOverTheBootTablesIsRefused) {
    Image image = sample::elf(sample::text("the kernel"));
    Elf64_Phdr load;
    std::memcpy(&load, image.data() + sizeof(Elf64_Ehdr), sizeof load);
    load.p_paddr = low_memory::kBootParams;
    std::memcpy(image.data() + sizeof(Elf64_Ehdr), &load, sizeof load);
    EXPECT_THAT(failure(image), HasSubstr("does not fit"));
}

TEST_F(LinuxLoader, TooLongACommandLineIsRefused) {
    boot_.command_line.assign(3000, 'x');
    EXPECT_THAT(failure(sample::bzimage(sample::text("payload"))), StartsWith("--cmdline: "));
}

TEST_F(LinuxLoader, InitrdThatDoesNotFitIsRefused) {
    Image big = cpio();
    big.resize(62u << 20);
    give_initrd(big);
    EXPECT_THAT(failure(sample::bzimage(sample::text("payload"))), StartsWith("--initrd i: "));
}

TEST_F(LinuxLoader, ForeignInitrdIsRefused) {
    give_initrd(sample::text("<html>"));
    EXPECT_THAT(failure(sample::bzimage(sample::text("payload"))),
                StartsWith("--initrd i: not an initrd"));
}

}  // namespace
}  // namespace mynah
